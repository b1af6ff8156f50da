"""Calls of gRPC, gRPC-Web and Connect clients at the gateway, with the identity and the limits of the method."""
