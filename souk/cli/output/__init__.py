"""The output of commands: tables, colours, and lines of a fleet."""
