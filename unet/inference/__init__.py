"""Masks from an exported model, for images of any size."""
