"""What fulfils Payment's ports besides its stores: the ways to a card provider, and announcements."""
