"""All SQL of the service, a file a table's worth."""
