"""PostgreSQL for a fleet: its programs, the server that is started, and a database and a role for each service."""
