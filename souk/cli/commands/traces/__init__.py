"""`souk traces`: what the console has gathered, on the command line."""
