"""The HTTP surface (contract §1)."""
