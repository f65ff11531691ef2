"""Who refused which transaction, and what that shows: nothing that lasts (rails §2.1, §2.3).

A refusal (`InvalidTxError`) is one node's word about the state that it has now. `NotEnoughBalance`
and `LackBalanceForState` end when money comes, `Expired` is also said of a block that a lagging
node does not know yet, `SignerDoesNotExist` and `InvalidAccessKeyError` of an account or a key that
it has not seen yet, `NonceTooLarge` until the chain is higher; and behind one address another node
may have taken the same bytes a moment before. Where the bytes themselves are at fault
(`ActionsValidation`, `TransactionSizeExceeded`, `InvalidSignature`, `InvalidChain`), a protocol
upgrade may think otherwise. So a refusal ends nothing. It says that waiting is of no use: once all
providers have refused, the transaction is fenced without delay (`fence`), and ends by that proof.

`InvalidNonce` is not counted: the nonce was used, perhaps by these very bytes.
"""

from collections.abc import Iterable

from agent_runtime.errors import RailError
from agent_runtime.near.rpc import RpcError


class Refusals:
    """The newest word of each provider about each transaction that is open."""

    def __init__(self) -> None:
        self._said: dict[str, dict[str, str]] = {}
        self._agreed: dict[str, str] = {}

    def note(self, tx_hash: str, node: str, error: RailError | None) -> None:
        """Remember what a provider answered to the bytes; anything but a refusal undoes its own."""
        if error is not None and is_refusal(error):
            self._said.setdefault(tx_hash, {})[node] = error.said
        else:
            self._said.get(tx_hash, {}).pop(node, None)

    def by_all(self, tx_hash: str, nodes: Iterable[str]) -> bool:
        """Whether each of these providers refused, when it was asked last."""
        said = self._said.get(tx_hash, {})
        if not said or not said.keys() >= set(nodes):
            return False
        self._agreed.setdefault(tx_hash, "; ".join(dict.fromkeys(said.values())))
        return True

    def by(self, tx_hash: str, node: str) -> bool:
        """Whether this provider did."""
        return node in self._said.get(tx_hash, {})

    def agreed(self, tx_hash: str) -> str:
        """What they said when all had refused; empty if that never was so."""
        return self._agreed.get(tx_hash, "")

    def words(self, tx_hash: str) -> str:
        """That all had refused while nothing is proven yet; empty if that never was so."""
        said = self.agreed(tx_hash)
        return said and f"every provider refused it ({said}), and it is not proven dead yet"

    def forget(self, tx_hash: str) -> None:
        """The transaction has ended."""
        self._said.pop(tx_hash, None)
        self._agreed.pop(tx_hash, None)


def is_refusal(error: RailError) -> bool:
    """Whether a node says that these bytes cannot enter the chain as it sees it."""
    if not isinstance(error, RpcError) or error.name != "INVALID_TRANSACTION":
        return False
    return error.reason not in {"", "InvalidNonce"}
