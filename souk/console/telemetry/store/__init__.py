"""The file that the console keeps its data in (docs/decisions/0117-the-console-keeps-its-data-apart.md)."""
