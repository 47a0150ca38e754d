"""A server for folders of SavedModel versions: `python -m serving --help`."""
