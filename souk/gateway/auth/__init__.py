"""Identifies callers by tokens, API keys and cookies, says what they may call, and records whom it refused."""
