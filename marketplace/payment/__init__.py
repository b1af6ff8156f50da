"""The Payment service: cards, wallets, charges and refunds."""
