"""Reads masks: from stored values to classes and objects."""
