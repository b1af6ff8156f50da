"""Reads contracts: methods, HTTP rules, policies, limits of fields, and their JSON and OpenAPI forms."""
