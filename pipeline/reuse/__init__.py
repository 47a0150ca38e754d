"""Which results of earlier runs still hold, and why the others do not."""
