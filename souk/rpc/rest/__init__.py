"""Calls by contract to a service that speaks plain REST: the rules of google.api.http, from the other side."""
