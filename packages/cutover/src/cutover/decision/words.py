"""Numbers as people read them; shared by reasons, status and explanations."""

from functools import lru_cache

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))


@lru_cache(maxsize=1024)  # every decision names the runbook's own durations
def span(ms: int) -> str:
    """A duration in its two largest units: `2h 5m`, `12s`, `250ms`."""
    if abs(ms) < 1_000:
        return f"{ms}ms"
    if ms % 1_000 and abs(ms) < 60_000:
        return f"{ms / 1_000:.1f}s"
    parts, rest = [], ms
    for size, unit in _UNITS:
        if rest >= size:
            parts.append(f"{rest // size}{unit}")
            rest %= size
    return " ".join(parts[:2])


def percent(bp: int) -> str:
    """Basis points as percent: `10%`, `0.5%`."""
    return f"{bp / 100:g}%"
