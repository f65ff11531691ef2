"""`help`, and the views of splits that the user guide promises (contract §4)."""

from agent_runtime.allocation import percent_text
from agent_runtime.errors import RailError
from agent_runtime.grammar import ShowSplit, ShowSplits
from agent_runtime.intents import words
from agent_runtime.near.contract import Split, SplitContract
from agent_runtime.requests import Reply

SHOWN_MAX = 20
NO_NEAR = "❌ Splits are not available: NEAR is not configured"


async def show_split(asked: ShowSplit, contract: SplitContract | None) -> Reply:
    """A split by its id, as the chain holds it now."""
    if contract is None:
        return Reply(NO_NEAR, "help")
    try:
        found = await contract.split(asked.split_id)
    except RailError as error:
        return Reply(f"❌ Splits are not available: {error}", "help")
    if found is None:
        return Reply(f"No split has the id {asked.split_id}", "help")
    return Reply("\n".join(_lines(*found)), "help")


async def show_splits(asked: ShowSplits, contract: SplitContract | None) -> Reply:
    """The split of a repository; the contract keeps one for each."""
    if contract is None:
        return Reply(NO_NEAR, "help")
    try:
        split = await contract.split_of(asked.repo.url)
    except RailError as error:
        return Reply(f"❌ Splits are not available: {error}", "help")
    if split is None:
        return Reply(f"No split found for {asked.repo.url}\n{words.NO_SPLIT}", "help")
    return Reply("\n".join(_lines(asked.repo.url, split)), "help")


def _lines(repo_url: str, split: Split) -> list[str]:
    lines = [f"📜 Split ID: {split.id}", f"Repository: {repo_url}"]
    if not split.rows:
        return [*lines, "It has no contributors yet: create it again"]
    lines.extend(f"- {row.login}: {percent_text(row.units)}%" for row in split.rows[:SHOWN_MAX])
    if len(split.rows) > SHOWN_MAX:
        lines.append(f"...and {len(split.rows) - SHOWN_MAX} more")
    return lines
