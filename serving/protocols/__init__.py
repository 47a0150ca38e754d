"""The protocols that the server speaks."""
