"""Who does what for whom: the parts that answer intents."""

from dataclasses import dataclass

from agent_runtime.claims import Claims
from agent_runtime.intents.analyze import Analyst
from agent_runtime.intents.create import Splitter
from agent_runtime.intents.pay import Payer
from agent_runtime.intents.planner import Planner
from agent_runtime.intents.rating import Rater
from agent_runtime.intents.verify import Verifier
from agent_runtime.modes import Modes
from agent_runtime.near.contract import SplitContract
from agent_runtime.payouts.pingpay import PingPayouts


@dataclass(frozen=True)
class OnChain:
    """What needs an account and a contract on NEAR."""

    splitter: Splitter
    payer: Payer
    payouts: PingPayouts
    verifier: Verifier
    planner: Planner


@dataclass(frozen=True)
class Crew:
    """All parts; `chain` and `contract` are None where NEAR is not configured."""

    analyst: Analyst
    rater: Rater
    modes: Modes
    claims: Claims
    contract: SplitContract | None
    chain: OnChain | None
