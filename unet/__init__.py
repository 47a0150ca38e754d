"""The segmentation library, from files and pixels to a trained and measured U-Net; it knows no TFX."""
