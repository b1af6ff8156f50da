"""Service discovery: registers instances of services and finds them, by one port with several adapters."""
