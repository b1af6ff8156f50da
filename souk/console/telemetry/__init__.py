"""What the console knows of traces and figures: gathered from all processes, kept in one file, and asked in SQL."""
