"""The definitions of all metrics of masks, without TensorFlow."""
