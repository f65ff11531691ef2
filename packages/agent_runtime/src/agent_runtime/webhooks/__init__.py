"""Deliveries of other systems: authentic by their raw bytes, fresh, and acted upon once."""
