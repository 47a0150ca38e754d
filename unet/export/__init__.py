"""The SavedModel: preprocessing, tiling and network in one graph, with its signatures."""
