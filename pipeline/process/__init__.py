"""This process: its signals, its lock, its log, its memory and how it ends."""
