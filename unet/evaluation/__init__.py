"""The results of an evaluation, and the gate that decides by them."""
