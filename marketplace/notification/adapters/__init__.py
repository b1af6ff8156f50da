"""Adapters: the mailbox, and the calls to User."""
