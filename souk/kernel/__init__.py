"""The lowest layer, which every other package may import: errors, call context, clock. It imports nothing of Souk."""
