"""`souk canary`: releases a version of a service to a growing share of its calls, and takes it back if it is worse."""
