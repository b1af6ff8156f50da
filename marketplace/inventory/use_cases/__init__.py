"""What can be asked of Inventory, one file each."""
