"""Payouts that somebody else signs: ordered once, and judged by what NEAR shows."""
