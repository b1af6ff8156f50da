"""A cache of reads, in the memory of the process and in Redis."""
