"""All SQL of the service, one file for each part of the books."""
