"""What `check` finds in a data folder, and what it proposes."""
