"""`souk saga`: finds runs of sagas, acts on them, and compares definitions with open runs."""
