"""What traces cost: orders without them, with one in a hundred, and with all of them."""
