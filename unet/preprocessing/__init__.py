"""What happens to pixels inside a TensorFlow graph before the network sees them."""
