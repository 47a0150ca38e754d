"""The runs of a root: what was done, from which data, and what came of it."""
