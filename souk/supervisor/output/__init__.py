"""What processes write: their logs, what is shown of them, and the line that says that they are ready."""
