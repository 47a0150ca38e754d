"""Prediction of masks with an exported model, for images of any size."""
