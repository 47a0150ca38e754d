"""Masks become classes: what the values in a mask mean."""
