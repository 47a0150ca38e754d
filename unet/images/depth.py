"""The scale of 16-bit images beside that of 8-bit ones."""

# 8 bits widened to 16 are exactly 257 times as much (255 becomes 65535), which is what TensorFlow's
# decode_png(dtype=uint16) does: divided by it, images of both depths have values from 0 to 255.
DEPTH_SCALE = 257
