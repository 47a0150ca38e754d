"""The bundled data set, and the generator of synthetic images that tests and benchmarks use."""
