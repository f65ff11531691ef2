"""The door to eth-account, which must not change the process it is used in.

Importing it imports py_ecc, which raises Python's recursion limit to 100,000: from then on a deeply
nested JSON body ends the process with a stack overflow instead of a RecursionError. The limit is
put back.
"""

import sys

_LIMIT = sys.getrecursionlimit()

from eth_account import Account  # noqa: E402 - between reading the limit and putting it back
from eth_account.messages import encode_defunct  # noqa: E402 - likewise
from eth_account.signers.local import LocalAccount  # noqa: E402 - likewise

sys.setrecursionlimit(_LIMIT)

__all__ = ["Account", "LocalAccount", "encode_defunct"]
