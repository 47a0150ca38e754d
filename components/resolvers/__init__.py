"""Resolvers: find artifacts of earlier runs in ML Metadata for the current run."""
