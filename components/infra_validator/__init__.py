"""The InfraValidator: a process with TensorFlow alone answers with the exported model."""
