"""The logs of all processes of a system, as one: searched, and followed."""
