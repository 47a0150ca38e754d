"""Retention: what stays under a root when later runs have replaced it, and how the rest is deleted."""
