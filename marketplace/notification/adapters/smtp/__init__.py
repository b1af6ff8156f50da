"""Mails by SMTP: the postman, its sessions with the mail server, and what the replies of the server mean."""
