"""The Product service: the catalogue and its search."""
