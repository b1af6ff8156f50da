"""All SQL of the service, and the limit of requests that wait for a product's row."""
