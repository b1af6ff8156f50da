"""The Notification service: mails to buyers."""
