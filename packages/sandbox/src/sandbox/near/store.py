"""The chain's state: one flat map, with the past of every block that is not yet final.

Values are immutable (or never changed in place), so that a layer of old values is all that is
needed to undo a failed receipt and to answer a question "as of the final block".
"""

from collections import deque
from collections.abc import Iterator

Key = tuple[str, ...]
_ABSENT = object()


class Store:
    """Current state, and an undo layer for each of the `finality_lag` (1 or more) newest blocks."""

    def __init__(self, finality_lag: int) -> None:
        self._data: dict[Key, object] = {}
        self._layers: deque[dict[Key, object]] = deque([{}], maxlen=finality_lag)
        self._savepoint: dict[Key, object] | None = None

    def get(self, key: Key, *, final: bool = False) -> object:
        """Return the value or None; `final` asks for the newest final block's state."""
        if final:
            for layer in self._layers:
                if key in layer:
                    old = layer[key]
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

    def under(self, *prefix: str, final: bool = False) -> Iterator[tuple[Key, object]]:
        """Yield every entry whose key starts with `prefix`."""
        keys = set(self._data).union(*self._layers) if final else set(self._data)
        for key in sorted(key for key in keys if key[: len(prefix)] == prefix):
            value = self.get(key, final=final)
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
        for key, old in undo.items():
            if old is _ABSENT:
                self._data.pop(key, None)
            else:
                self._data[key] = old

    def settle(self) -> None:
        """Declare everything so far final: the state that the chain begins with."""
        self._layers.clear()
        self._layers.append({})
