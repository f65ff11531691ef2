"""The shipped runbooks, and small changes to them."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "runbooks"
SHIPPED = ("phased", "fast-track", "demo")


def shipped(name):
    return (RUNBOOKS / f"{name}.toml").read_text()


def changed(text, old, new):
    """`text` with its one `old` replaced; a change that hits nothing or much would test nothing."""
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
    return text.replace(old, new)
