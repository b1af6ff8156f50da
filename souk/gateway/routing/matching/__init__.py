"""Finds the rule of a request by HTTPRoute's precedence, over indices that are compiled from a routes file.

The best candidate is the one with, in this order: the longest matching hostname, one without a wildcard first; an
exact path, then a template (a literal segment before a variable), then a regular expression (the longest first), then
the longest prefix; a method; the most headers; the most query parameters; the first place in the file.
"""
