"""The OpenAPI document of a gateway: contracts, what it answers by itself, and the routes of its file."""
