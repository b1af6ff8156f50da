"""How operators ask about canaries, and how what they get is written."""
