"""Turns images and masks into tf.Examples: finds the samples, splits them and writes them."""
