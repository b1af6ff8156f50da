"""All SQL of the service, and what this process need not ask it for again."""
