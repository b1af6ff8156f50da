"""Reads spans and figures of all processes of a system, about once a second, and hands them to the store."""
