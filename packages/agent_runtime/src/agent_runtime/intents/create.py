"""`create`: make or update a split on NEAR, then read it back (contract §6, rails §2.6).

The rows are decided and checked before the first transaction. A split without rows is a half-made
one and is continued. What the text says is what was read back from the chain at the end.
"""

from agent_runtime.allocation import ONE_PERCENT, ROWS_MAX, WHOLE, divide, percent_text
from agent_runtime.errors import Busy, RailError, RailUnknown, Refusal
from agent_runtime.grammar import Create, Repo
from agent_runtime.intents.analyze import left_out
from agent_runtime.intents.coverage import invite_link, need_verification
from agent_runtime.intents.worker import Worker, landed
from agent_runtime.locks import NamedLocks
from agent_runtime.near import contract as calls
from agent_runtime.near.contract import Row, Split, SplitContract
from agent_runtime.near.ledger import Attempt, State
from agent_runtime.people import People
from agent_runtime.rails.github import Contributors, GitHub
from agent_runtime.requests import Reply
from agent_runtime.settings import Settings

ALREADY_EXISTS = "Split already exists"


class Splitter:
    """Answers `create`."""

    def __init__(
        self,
        settings: Settings,
        github: GitHub,
        contract: SplitContract,
        worker: Worker,
        people: People,
    ) -> None:
        self._settings = settings
        self._github = github
        self._contract = contract
        self._worker = worker
        self._people = people
        self._changing = NamedLocks()

    async def propose(self, asked: Create) -> list[Row] | Reply:
        """The rows that a split would have now, or the answer that says why it has none."""
        try:
            return allocate(await self._github.contributors(asked.repo), asked.percents)
        except (Refusal, RailError) as error:
            return Reply(f"❌ Failed to create split: {error}", "create")

    async def create(self, asked: Create) -> Reply:
        """Bring the split on chain to what the contributors are; idempotent."""
        try:
            found = await self._github.contributors(asked.repo)
            rows = allocate(found, asked.percents)
            verb, split = await self._as_wanted(found.repo, rows)
            numbers = {person.login.lower(): person.id for person in found.people}
            people = [(row.login, numbers[row.login.lower()]) for row in split.rows]
            self._people.remember_split(found.repo.url, people)
            wallets = await self._contract.wallets_of([row.login for row in split.rows])
        except Busy as busy:
            return Reply(f"🛑 Split not changed: {busy}", "create")
        except (Refusal, RailError) as error:
            return Reply(f"❌ Failed to create split: {error}", "create")
        return Reply("\n".join(self._lines(verb, found, split, wallets)), "create")

    async def _as_wanted(self, repo: Repo, rows: list[Row]) -> tuple[str, Split]:
        """What was done, and the split as it was read back.

        A split that is as wanted already costs one look and waits for nobody; changes of one
        repository are made one after the other, each after a look of its own.
        """
        before = await self._contract.split_of(repo.url)
        if before is not None and same_rows(before.rows, rows):
            return "already exists", before
        async with self._changing.alone(repo.url.lower()):
            before = await self._contract.split_of(repo.url)
            if before is not None and same_rows(before.rows, rows):
                return "already exists", before
            verb = await self._bring_about(repo, before, rows)
            return verb, await self._read_back(repo, rows)

    async def _bring_about(self, repo: Repo, before: Split | None, rows: list[Row]) -> str:
        await self._worker.register()
        if before is not None:
            await self._update(repo, before.id, rows)
            return "updated" if before.rows else "created"
        owner = f"split:{repo.url}"
        attempt = await self._worker.submit(
            owner, calls.create_split(repo.url, self._worker.account)
        )
        if attempt.state is State.REVERTED and ALREADY_EXISTS in attempt.detail:
            return await self._go_on_from_another(repo, attempt, rows)
        split_id = calls.split_id_of(landed(attempt, "create_split"))
        await self._update(repo, split_id, rows)
        return "created"

    async def _go_on_from_another(self, repo: Repo, attempt: Attempt, rows: list[Row]) -> str:
        """Somebody else, the other plane perhaps, made the split meanwhile; see what is left."""
        found = await self._contract.split_of(repo.url)
        if found is None:
            raise RailUnknown(
                "near",
                f"create_split met a split ({attempt.tx_hash}) that no view shows yet; ask again",
            )
        if same_rows(found.rows, rows):
            return "already exists"
        await self._update(repo, found.id, rows)
        return "updated"

    async def _update(self, repo: Repo, split_id: str, rows: list[Row]) -> None:
        call = calls.update_split(split_id, rows)
        landed(await self._worker.submit(f"split:{repo.url}", call), call.method)

    async def _read_back(self, repo: Repo, rows: list[Row]) -> Split:
        split = await self._contract.split_of(repo.url)
        if split is None or not same_rows(split.rows, rows):
            raise Refusal("the chain does not hold the rows that were sent; look before retrying")
        return split

    def _lines(
        self, verb: str, found: Contributors, split: Split, wallets: dict[str, str]
    ) -> list[str]:
        missing = [row.login for row in split.rows if row.login.lower() not in wallets]
        verified = len(split.rows) - len(missing)
        lines = [
            f"✅ Split {verb} for {found.repo.url}!",
            f"📜 Split ID: {split.id}",
            *(f"- {row.login}: {percent_text(row.units)}%" for row in split.rows),
            *left_out(found),
            *_cut(found),
            f"Verification coverage: {verified}/{len(split.rows)} verified",
        ]
        if missing:
            lines.append(f"Need verification: {need_verification(missing)}")
            lines.append(f"Invite link: {invite_link(self._settings.web_base, found.repo)}")
        return lines


def allocate(found: Contributors, percents: tuple[int, ...]) -> list[Row]:
    """Rows that sum to the whole exactly. Pure.

    Raises:
        Refusal: nobody to share with, or custom percentages that do not fit.
    """
    people = found.people[:ROWS_MAX]
    if not people:
        raise Refusal(f"{found.repo.url} has no contributors who can be named")
    if not percents:
        units = divide(WHOLE, [person.commits for person in people], minimum=1)
        return [Row(person.login, part) for person, part in zip(people, units, strict=True)]
    if sum(percents) != 100 or any(percent == 0 for percent in percents):
        written = "/".join(map(str, percents))
        raise Refusal(f"custom percentages {written} must be above zero and sum to 100")
    if len(percents) > len(people):
        raise Refusal(f"{len(percents)} percentages for {len(people)} contributors")
    return [
        Row(person.login, percent * ONE_PERCENT)
        for person, percent in zip(people, percents, strict=False)
    ]


def _cut(found: Contributors) -> list[str]:
    if len(found.people) <= ROWS_MAX:
        return []
    return [f"The split holds the first {ROWS_MAX} of {len(found.people)} contributors"]


def same_rows(first: tuple[Row, ...], second: list[Row]) -> bool:
    """Whether two sets of rows give the same people the same shares. Pure."""

    def key(rows: tuple[Row, ...] | list[Row]) -> dict[str, int]:
        return {row.login.lower(): row.units for row in rows}

    return key(first) == key(second) and len(first) == len(second)
