"""What can be asked of the catalogue, one file each."""
