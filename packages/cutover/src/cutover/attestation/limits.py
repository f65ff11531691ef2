"""How large evidence may be. Checked before anything is parsed (attestation §1, §16 step 1)."""

from typing import Final

REPLY_BYTES_MAX: Final = 256 * 1024
"""A plane's whole answer; genuine ones are below 40 kB."""
QUOTE_BYTES_MAX: Final = 16 * 1024
EVENT_LOG_BYTES_MAX: Final = 96 * 1024
EVENTS_MAX: Final = 512
COMPOSE_BYTES_MAX: Final = 128 * 1024
STATEMENT_BYTES_MAX: Final = 4 * 1024
KEYS_BYTES_MAX: Final = 16 * 1024
COLLATERAL_BYTES_MAX: Final = 256 * 1024
WALLETS_MAX: Final = 8
SHOWN_CHARS_MAX: Final = 160
"""Of a single value in a reason: a plane must not be able to fill journal or screen."""
