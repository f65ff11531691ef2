"""What is remembered: an append-only, hash-chained record, and its sealed export."""
