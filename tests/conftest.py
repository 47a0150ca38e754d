"""Settings that TensorFlow reads once, when it is first imported, and a cache folder of the tests' own."""

import os
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
# What earlier checks found lies in the user's cache folder; tests must neither use nor fill that one.
_cache = tempfile.TemporaryDirectory(prefix="unet-cache-")
os.environ["XDG_CACHE_HOME"] = _cache.name
