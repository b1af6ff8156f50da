"""The gateway in front of the services: its application, its files that are read again, its process."""
