"""Receipts: what became of a payment, for whoever was handed its address."""
