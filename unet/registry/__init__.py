"""The folder of pushed model versions, and the records inside exported models."""
