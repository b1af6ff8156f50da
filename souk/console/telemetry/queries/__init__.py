"""What is asked of the console's data. Every question has a limit in rows and in time, and a failed one says so."""
