"""The operator's hands: one module a verb, a client of the conductor's API wherever it runs."""

from cutover.cli.main import main

__all__ = ["main"]
