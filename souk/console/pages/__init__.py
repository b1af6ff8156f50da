"""The platform's pages of the console: a file for each."""
