"""What a run hands on: to trackers, monitoring, other serving folders, orchestrators. No TensorFlow."""
