"""The InfraValidator: a process that imports only TensorFlow serves the exported model."""
