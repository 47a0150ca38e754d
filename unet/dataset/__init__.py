"""A folder of images and masks becomes samples in splits."""
