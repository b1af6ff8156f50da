"""The bare client of each broker, as a good user of it would write it: confirmed, acknowledged, in batches."""
