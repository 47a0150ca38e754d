"""A server for folders of SavedModel versions; see `python -m serving --help`."""
