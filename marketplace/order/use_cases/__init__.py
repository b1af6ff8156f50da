"""What can be asked of the Order service; one file each."""
