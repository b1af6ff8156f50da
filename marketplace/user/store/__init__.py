"""All SQL of the service, one file for each table or two."""
