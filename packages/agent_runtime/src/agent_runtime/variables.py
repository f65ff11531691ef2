"""How a field of `Settings` says which environment variable it is read from."""

from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any

from agent_runtime import parsing


@dataclass(frozen=True)
class Variable:
    """Where a field comes from.

    Attributes:
        name: the environment variable.
        default: the text that stands in for an absent one, as the README shows it.
        meaning: one clause for the README.
        secret: never shown, not even in `repr`.
        own: may differ between the two planes; all others must be equal (`parity`).
        read: turns the text into the field's value; raises ValueError.
    """

    name: str
    default: str
    meaning: str
    secret: bool
    own: bool
    read: Callable[[str], Any]


def env(
    name: str,
    meaning: str,
    default: str = "",
    read: Callable[[str], Any] = parsing.text,
    *,
    secret: bool = False,
    own: bool = False,
) -> Any:
    """Declare a field that is read from the environment."""
    variable = Variable(name, default, meaning, secret, own, read)
    return field(metadata={"env": variable}, repr=not secret)


def variable_of(item: "Field[Any]") -> Variable:
    """The variable behind a field of `Settings`."""
    variable = item.metadata["env"]
    assert isinstance(variable, Variable)  # noqa: S101 - `env` is the only way to declare a field
    return variable
