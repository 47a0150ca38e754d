"""The gate that blesses a model, and the results of an evaluation."""
