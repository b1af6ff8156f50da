"""What the service does, one file each."""
