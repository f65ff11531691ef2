"""Requests to be paid: how the account that pays out is topped up (rails §3).

Nothing here can pay, and nothing that pays knows of this package: a rail that collects money can
never satisfy a payout (contract §11.3). The import rules hold that.
"""
