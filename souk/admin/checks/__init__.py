"""What is checked of a running system: that what must be equal is."""
