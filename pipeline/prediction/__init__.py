"""Inputs, outputs and records of the command `predict`."""
