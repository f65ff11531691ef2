"""What can be made to go wrong in a demo, and how the run must end then.

Each fault is injected in the world (a plane, a rail, a process, the link), never in the product.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cutover.clock import pause

if TYPE_CHECKING:  # the command line needs the names alone, and half as long for every verb so
    from cutover.demo.world import World

CRASH_SECONDS = 1.0


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: as in `--fault NAME`.
        says: what happens, in a sentence.
        stage: injected once this stage is open ...
        unlocked: ... and, if set, `pay` is unlocked in it.
        inject: makes it happen.
        result: `complete`, `rolled_back` or `held`.
        rule: rollback condition or reason code that must have decided; empty for none.
        failing: plane whose answers may fail by the fault's own nature; `unnamed` for a client
            that got none; empty: nobody's.
        failed_max: how many may fail then.
        seconds_max: from the cause to the decision.
        refused: clients must have met a clear refusal of money.
        relay: needs the link between gateway and conductor.
    """

    name: str
    says: str
    stage: str
    unlocked: bool
    inject: "Callable[[World], None]"
    result: str
    rule: str
    failing: str
    failed_max: int
    seconds_max: float
    refused: bool = False
    relay: bool = False


def _misconfigure(world: "World") -> None:
    world.processes.stop("phala")
    world.start_plane("phala", PING_PAY_API_KEY="")


def _rails_fail(world: "World") -> None:
    world.set_faults(
        [
            {"service": "ping", "kind": "status", "status": 503, "plane": "phala"},
            {"service": "hot", "kind": "status", "status": 503, "plane": "phala"},
        ]
    )


def _payments_fail(world: "World") -> None:
    fault = {"service": "near", "operation": "send_tx", "kind": "wrong"}
    world.set_faults([{**fault, "variant": "failed_receipt", "plane": "phala"}])


def _fallback_down(world: "World") -> None:
    world.processes.kill("hetzner")


def _conductor_crash(world: "World") -> None:
    world.processes.kill("conductor")
    pause(CRASH_SECONDS)
    world.start_conductor()


def _gateway_crash(world: "World") -> None:
    world.processes.kill("gateway")
    world.start_gateway()


def _table_rejected(world: "World") -> None:
    world.set_link("corrupt")


_ALL: Final = (
    Fault(
        "not-ready", "phala is redeployed without its Ping key: /ready answers 503",
        "mixed", False, _misconfigure, "rolled_back", "not-ready", "phala", 60, 10,
    ),
    Fault(
        "canary-fails", "both payment rails fail for phala: its canary says ok=false",
        "canary", False, _rails_fail, "rolled_back", "canary-failed", "", 0, 7,
    ),
    Fault(
        "payments-fail", "phala's NEAR transactions fail on chain",
        "mixed", True, _payments_fail, "rolled_back", "payments-failed", "phala", 10, 10,
    ),
    Fault(
        "attestation-lost", "phala's guest agent goes away: no quote, teeWallet=mock",
        "mixed", False, lambda world: world.machine.lose_guest_agent(),
        "rolled_back", "attestation-lost", "", 0, 15,
    ),
    Fault(
        "attestation-invalid", "phala's guest agent hands out the quote of another app",
        "mixed", False, lambda world: world.machine.lie("other_app"),
        "rolled_back", "attestation-lost", "", 0, 5,
    ),
    Fault(
        "attestation-replayed", "phala's guest agent hands out an old quote, over another nonce",
        "mixed", False, lambda world: world.machine.lie("replayed"),
        "rolled_back", "attestation-lost", "", 0, 5,
    ),
    Fault(
        "tcb-out-of-date", "a TCB recovery: phala's platform is out of date by new collateral",
        "mixed", False, lambda world: world.machine.recover_tcb(),
        "held", "attestation:degraded", "", 0, 12,
    ),
    Fault(
        "collateral-down", "the collateral service goes away; the kept set is not old yet",
        "canary", False, lambda world: world.machine.lose_collateral(), "complete", "", "", 0, 0,
    ),
    Fault(
        "tls-key-swapped", "somebody with a TLS key of his own takes the way to phala",
        "mixed", False, lambda world: world.machine.step_between(),
        "rolled_back", "attestation-lost", "phala", 60, 5,
    ),
    Fault(
        "compose-changed", "phala's machine has started again with an image that was not agreed",
        "mixed", False, lambda world: world.machine.change_compose(),
        "rolled_back", "attestation-lost", "", 0, 5,
    ),
    Fault(
        "fallback-down", "hetzner is killed while it still answers half of everything",
        "mixed", False, _fallback_down, "held", "sick:hetzner", "hetzner", 250, 8, refused=True,
    ),
    Fault(
        "conductor-crash", "the conductor is killed with SIGKILL and started again",
        "canary", False, _conductor_crash, "complete", "", "", 0, 0,
    ),
    Fault(
        "gateway-crash", "the gateway is killed with SIGKILL and started again",
        "mixed", False, _gateway_crash, "complete", "", "unnamed", 120, 0,
    ),
    Fault(
        "table-rejected", "the link to the conductor falsifies routing tables",
        "canary", False, _table_rejected, "held", "table_rejected", "", 0, 60, relay=True,
    ),
)  # fmt: skip

FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}
