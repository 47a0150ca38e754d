"""The protocols of the server: REST and gRPC."""
