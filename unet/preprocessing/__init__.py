"""Decoding, resizing and normalisation of images inside a TensorFlow graph, before the network."""
