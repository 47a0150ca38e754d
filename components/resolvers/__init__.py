"""What earlier runs left, looked up in ML Metadata for the run at hand."""
