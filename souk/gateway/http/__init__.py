"""HTTP requests, routes and problems, and messages as JSON."""
