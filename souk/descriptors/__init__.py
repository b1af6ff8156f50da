"""Reads the contracts: methods, HTTP rules, policies."""
