"""Steps over several services that end, all done or all undone."""
