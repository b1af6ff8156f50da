"""All SQL of the service, a file a part of the books."""
