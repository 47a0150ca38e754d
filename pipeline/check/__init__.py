"""Finds problems in a data folder and proposes settings: the command `check`."""
