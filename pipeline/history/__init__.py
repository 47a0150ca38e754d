"""The history of a root: its runs, their data and their results."""
