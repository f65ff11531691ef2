"""Executes a cutover runbook: takes live traffic from one plane to another, proving each step."""

__version__ = "0.1.0"
