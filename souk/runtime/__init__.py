"""What any process of services needs."""
