"""The Evaluator: TFMA measures the exported model on whole images, and the gate decides."""
