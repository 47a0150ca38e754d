"""Metrics of masks, a definition of each, without TensorFlow."""
