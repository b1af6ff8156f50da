"""The single entry point: REST and JSON outside, gRPC inside."""
