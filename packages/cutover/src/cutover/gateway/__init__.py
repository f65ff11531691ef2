"""Moves traffic: classify, pick, forward, count; it never judges."""
