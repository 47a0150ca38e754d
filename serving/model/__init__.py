"""The versions of a model: finding, loading, warming up and predicting."""
