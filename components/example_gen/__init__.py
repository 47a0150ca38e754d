"""Images and masks become tf.Examples: finding samples, splitting them, writing them."""
