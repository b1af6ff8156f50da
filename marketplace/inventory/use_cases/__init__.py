"""The use cases of Inventory, one file for each."""
