"""Until when a verdict of attestation says anything: the runbook's age, or its own deadline."""


def until(at: int, ends: int | None, max_age_ms: int) -> int:
    """The last moment at which a verdict still says something.

    Args:
        at: when it was journaled.
        ends: its own deadline; None when it has none.
        max_age_ms: how long the runbook lets it count.
    """
    oldest = at + max_age_ms
    return oldest if ends is None else min(oldest, ends)
