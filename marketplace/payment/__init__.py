"""Cards, wallet, charges and refunds."""
