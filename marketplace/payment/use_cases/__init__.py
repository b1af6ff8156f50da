"""The use cases of Payment, one file for each, and the steps that they share."""
