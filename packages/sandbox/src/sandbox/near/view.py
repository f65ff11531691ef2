"""What makes an RPC provider differ from the chain it serves (see `provider`)."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

LAG_MAX: Final = 100


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


VIEWS = TypeAdapter(dict[str, View])
