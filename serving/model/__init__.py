"""The versions of a model: found, loaded, warmed up and asked for predictions."""
