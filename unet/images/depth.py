"""The factor between the values of 16-bit and 8-bit images."""

# Widening 8 bits to 16 multiplies values by 257 (255 becomes 65535), as TensorFlow's decode_png(dtype=uint16)
# does. Divided by this factor, images of both depths have values from 0 to 255.
DEPTH_SCALE = 257
