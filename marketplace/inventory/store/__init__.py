"""All SQL of the service, and whose turn it is to wait for a row."""
