"""Training of a network, and the search for its settings."""
