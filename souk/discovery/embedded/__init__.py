"""The embedded registry that comes with Souk: its server and its client."""
