"""All SQL of the service, and a cache of the orders that this process has just written."""
