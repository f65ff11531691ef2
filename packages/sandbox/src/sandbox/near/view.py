"""What makes an RPC provider differ from the chain it serves (see `provider`)."""

import random
from collections.abc import Iterator
from itertools import cycle
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, TypeAdapter

LAG_MAX: Final = 100
NODES_MAX: Final = 16


class View(BaseModel):
    """What makes a provider differ from the chain.

    Attributes:
        lag: its newest and its final block are so many blocks behind.
        forgets_after: it does not know transactions and blocks older than so many heights, as a
            node that is no archive; None keeps everything.
        height_offset: added to every height that it tells.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    lag: Annotated[int, Field(ge=0, le=LAG_MAX)] = 0
    forgets_after: Annotated[int, Field(ge=0)] | None = None
    height_offset: Annotated[int, Field(ge=-(10**9), le=10**9)] = 0

    def of_call(self) -> "View":
        """Return the view that answers one call: always itself."""
        return self


class Balanced(BaseModel):
    """Several nodes behind one address, as a load balancer mixes them: each call meets one.

    Attributes:
        nodes: how each of them sees the chain.
        order: `drawn` at random, or `round`: one after the other.
        seed: repeats the draws.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    nodes: Annotated[tuple[View, ...], Field(min_length=1, max_length=NODES_MAX)]
    order: Literal["drawn", "round"] = "drawn"
    seed: int = 0
    _turns: Iterator[View] = PrivateAttr()

    def model_post_init(self, _context: object) -> None:
        """Begin the order of the nodes."""
        draw = random.Random(self.seed)
        drawn = iter(lambda: draw.choice(self.nodes), None)
        self._turns = cycle(self.nodes) if self.order == "round" else drawn

    def of_call(self) -> View:
        """Return the view of the node that answers the next call."""
        return next(self._turns)


VIEWS = TypeAdapter(dict[str, View | Balanced])
