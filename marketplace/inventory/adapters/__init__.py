"""What fulfils Inventory's ports besides its store."""
