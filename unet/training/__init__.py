"""One training of one network, and the search of its settings."""
