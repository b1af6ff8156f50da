"""The output of processes: their logs, the lines of it that are shown, and the line that says that one is ready."""
