"""The use cases of Notification, one file for each."""
