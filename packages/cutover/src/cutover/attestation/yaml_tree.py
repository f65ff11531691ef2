"""YAML for people who check it: plain values only, nothing that two readers may understand apart.

Aliases, merge keys, tags, repeated keys and several documents are refused; every scalar stays text.
The tree is built from the parser's events without recursion, so depth cannot exhaust a stack.
"""

from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # the package carries no types

from cutover.attestation.strict import MalformedError, shown

DEPTH_MAX: Final = 24
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times faster where the wheel has libyaml."""


def read_yaml(text: str) -> Any:
    """Tables as dict, lists as list, every scalar as text.

    Raises:
        MalformedError: for what is no YAML, or more of YAML than is needed here.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        raise MalformedError(f"text that is no YAML: {shown(str(error))}", "YAML") from error
    except UnicodeError as error:
        raise MalformedError("a lone surrogate", "Unicode text") from error
    if builder.documents != 1:
        raise MalformedError(f"{builder.documents} YAML documents", "exactly one")
    return builder.root


class _Builder:
    """One walk over the events of one text."""

    def __init__(self) -> None:
        self.root: Any = None
        self.documents = 0
        self._open: list[tuple[Any, str | None]] = []  # container, and the key that waits in it

    def take(self, event: Any) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
            case yaml.AliasEvent():
                raise MalformedError("a YAML alias", "the value itself, written out")
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                _plain(event)
                container: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
                self._put(container)
                self._open.append((container, None))
                if len(self._open) > DEPTH_MAX:
                    raise MalformedError("YAML of great depth", f"at most {DEPTH_MAX} levels")
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()
            case yaml.ScalarEvent():
                _plain(event)
                self._put(str(event.value))
            case _:
                pass  # stream and document ends carry nothing

    def _put(self, value: Any) -> None:
        if not self._open:
            self.root = value
            return
        container, key = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        elif key is None:
            self._open[-1] = (container, _key(container, value))
        else:
            container[key] = value
            self._open[-1] = (container, None)


def _key(container: dict[str, Any], value: Any) -> str:
    if not isinstance(value, str) or value == "<<":
        raise MalformedError(f"the key {shown(value)}", "plain text, no merge key")
    if value in container:
        raise MalformedError(f"the key {shown(value)} twice in one table", "each key once")
    return value


def _plain(event: Any) -> None:
    if event.tag is not None and event.tag not in {"!", "tag:yaml.org,2002:str"}:
        raise MalformedError(f"the YAML tag {shown(event.tag)}", "untagged values")
