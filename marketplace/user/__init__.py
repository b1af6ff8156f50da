"""The User service: accounts, tokens and addresses."""
