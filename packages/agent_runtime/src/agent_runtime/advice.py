"""What a plane can start with and should not be left with. Pure; logged at the start."""

from agent_runtime.near.death import WITNESSES_MIN
from agent_runtime.settings import Settings


def advice(settings: Settings) -> list[str]:
    """One sentence for each setting that will hurt later; none if nothing will."""
    providers = {*settings.near_nodes, *settings.near_archival}
    if not settings.near_key or len(providers) >= WITNESSES_MIN:
        return []
    said = (
        f"NEAR_NODE_URL and NEAR_ARCHIVAL_URL name {len(providers)} provider, expected"
        f" {WITNESSES_MIN} or more: one provider's word ends nothing, so a transaction that is lost"
        " would stay unknown and hold up its key; add a provider"
    )
    return [said]
