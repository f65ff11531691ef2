"""The chain's state: one flat map, with the past of every block that is not yet final.

Values are immutable (or never changed in place), so that a layer of old values is all that is
needed to undo a failed receipt, to answer a question "as of n blocks ago", and to take blocks back.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

HISTORY: Final = 128
"""How many blocks before the final one are remembered as well, for providers that lag."""

Key = tuple[str, ...]
_ABSENT = object()


class Store:
    """Current state, and an undo layer for each of the `finality_lag + HISTORY` newest blocks."""

    def __init__(self, finality_lag: int) -> None:
        self._data: dict[Key, object] = {}
        self._layers: deque[dict[Key, object]] = deque([{}], maxlen=finality_lag + HISTORY)
        self._savepoint: dict[Key, object] | None = None

    def get(self, key: Key, *, back: int = 0) -> object:
        """Return the value or None, as it was `back` blocks before the newest one."""
        layers = self._layers
        for at in range(max(0, len(layers) - back), len(layers)):
            if key in layers[at]:
                old = layers[at][key]
                return None if old is _ABSENT else old
        return self._data.get(key)

    def set(self, key: Key, value: object) -> None:
        """Set a value; None deletes."""
        old = self._data.get(key, _ABSENT)
        self._layers[-1].setdefault(key, old)
        if self._savepoint is not None:
            self._savepoint.setdefault(key, old)
        if value is None:
            self._data.pop(key, None)
        else:
            self._data[key] = value

    def under(self, *prefix: str, back: int = 0) -> Iterator[tuple[Key, object]]:
        """Yield every entry whose key starts with `prefix`."""
        keys = set(self._data).union(*self._layers) if back else set(self._data)
        for key in sorted(key for key in keys if key[: len(prefix)] == prefix):
            value = self.get(key, back=back)
            if value is not None:
                yield key, value

    def next_block(self) -> None:
        """Close the current block's layer and open the next one."""
        self._layers.append({})

    def begin(self) -> None:
        """Remember from here on what `rollback` shall undo."""
        self._savepoint = {}

    def commit(self) -> None:
        """Keep what was done since `begin`."""
        self._savepoint = None

    def rollback(self) -> None:
        """Undo what was done since `begin`."""
        undo, self._savepoint = self._savepoint or {}, None
        self._restore(undo)

    def take_back(self, blocks: int) -> None:
        """Undo the newest blocks, as if they had never been; the next one must be opened anew."""
        for _ in range(min(blocks, len(self._layers))):
            self._restore(self._layers.pop())

    def _restore(self, layer: dict[Key, object]) -> None:
        for key, old in layer.items():
            if old is _ABSENT:
                self._data.pop(key, None)
            else:
                self._data[key] = old

    def settle(self) -> None:
        """Declare everything so far final: the state that the chain begins with."""
        self._layers.clear()
        self._layers.append({})
