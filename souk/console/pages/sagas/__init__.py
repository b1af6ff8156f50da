"""The pages of sagas: the list with its filters and bulk actions, and one run with its steps."""
