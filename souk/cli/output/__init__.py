"""What commands show: tables, colours, and lines of a fleet."""
