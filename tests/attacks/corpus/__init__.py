"""The smuggling corpus: requests and answers that two programs on one path could read differently, as one table."""
