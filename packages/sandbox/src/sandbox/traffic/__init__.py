"""Synthetic clients: many conversations, every answer checked, never a retry."""
