"""Exported models in a folder of versions, and the records that travel with them."""
