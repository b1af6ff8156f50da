"""What everything else stands on: errors, context, clock. Imports nothing of Souk."""
