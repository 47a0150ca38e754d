"""What runs the graph, and where Beam works: in this process, in several of this machine, or on a cluster."""
