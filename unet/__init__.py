"""The segmentation library, from image files to a trained and evaluated U-Net; it does not import TFX."""
