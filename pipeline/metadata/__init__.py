"""Where ML Metadata keeps what runs did: a file of the root, or a server for several. No TensorFlow."""
