"""Facts, the figures that they add up to, and the reports that are made of figures. No I/O."""
