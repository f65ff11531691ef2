"""What a request wants, and how much harm a wrong answer does.

Unknown text is an intent of its own with the highest risk: classification fails closed.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Risk(StrEnum):
    """How bad it is to answer twice, late, or on the wrong plane; in rising order."""

    LOW = "low"
    STATE = "state"
    MONEY = "money"


class Intent(StrEnum):
    """Everything a client's text may mean to the runtime (controller-contract §4)."""

    ANALYZE = "analyze"
    CREATE = "create"
    PAY = "pay"
    PENDING = "pending"
    VERIFY = "verify"
    REPUTATION = "reputation"
    MODE = "mode"
    PLAN = "plan"  # approve, cancel, replay: what they set off was said earlier
    HELP = "help"
    UNKNOWN = "unknown"


RISK_OF: Final = MappingProxyType(
    {
        Intent.ANALYZE: Risk.LOW,
        Intent.CREATE: Risk.STATE,
        Intent.PAY: Risk.MONEY,
        Intent.PENDING: Risk.LOW,
        Intent.VERIFY: Risk.STATE,
        Intent.REPUTATION: Risk.LOW,
        Intent.MODE: Risk.STATE,
        Intent.PLAN: Risk.MONEY,
        Intent.HELP: Risk.LOW,
        Intent.UNKNOWN: Risk.MONEY,
    }
)

LEADING: Final = (Intent.ANALYZE, Intent.CREATE, Intent.PAY)
"""The intents that a stage names a share for; every other intent follows one of them."""
