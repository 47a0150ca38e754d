"""The nodes of the TFX graph, in the order of the data; import each module by itself."""
