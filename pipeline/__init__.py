"""How a run is described and driven; imports of TensorFlow happen where a command needs them."""
