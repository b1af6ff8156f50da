"""What implements the ports of Analytics."""
