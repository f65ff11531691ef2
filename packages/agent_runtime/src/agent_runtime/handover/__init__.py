"""Handing the ledger over between planes, and fencing the key that is handed over (rails §2.4)."""
