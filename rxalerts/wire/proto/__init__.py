"""Falco's gRPC messages: `make proto` writes the modules here from the .proto files beside them."""
