"""What can be asked of Payment, one file each."""
