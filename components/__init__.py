"""What happens to the data, in the order it flows; nothing is imported here: each part loads alone."""
