"""What is true of products whatever the database: how they are listed, searched and changed. No I/O."""
