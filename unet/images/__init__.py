"""Files of images become pixels: the only reader of image files."""
