"""What the service needs from outside, translated into its own words."""
