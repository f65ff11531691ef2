"""Who lives in this world: repositories, their contributors, and who has a verified wallet.

Everything follows from names, so that two runs see the same people. Any `demo/<name>` exists.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

GIVEN: Final = (
    *("ada", "grace", "linus", "margaret", "ken", "barbara", "dennis", "radia", "edsger"),
    *("frances", "donald", "adele", "tony", "shafi", "leslie", "jean", "niklaus", "karen"),
    *("butler", "lynn", "alan", "mary", "john", "hedy", "vint", "katherine", "tim", "sophie"),
    *("guido", "evelyn"),
)
UNVERIFIED: Final = frozenset({"tony", "vint"})
UNREGISTERED: Final = frozenset({"nomad-one", "nomad-two"})


@dataclass(frozen=True, slots=True)
class Contributor:
    """One row of a contributors list; `id` None is an anonymous committer."""

    login: str
    id: int | None
    kind: str
    contributions: int


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository; `full_name` is its canonical spelling."""

    full_name: str
    id: int
    contributors: tuple[Contributor, ...]
    too_large: bool = False
    app_installed: bool = True


def number_of(name: str) -> int:
    """Return the stable numeric id of a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 90_000_000 + 1_000


def person(login: str, contributions: int) -> Contributor:
    """Return a human contributor."""
    return Contributor(login, number_of(login), "User", contributions)


def bot(login: str, contributions: int) -> Contributor:
    """Return a bot."""
    return Contributor(login, number_of(login), "Bot", contributions)


def anonymous(name: str, contributions: int) -> Contributor:
    """Return a committer without an account; the name is whatever the committer typed."""
    return Contributor(name, None, "Anonymous", contributions)


def wallet_of(login: str) -> str:
    """Return the NEAR account that this person verified."""
    return f"{login.lower()}.people.near"


def _demo(full_name: str) -> Repository:
    seed = hashlib.sha256(full_name.lower().encode()).digest()
    verified = [name for name in GIVEN if name not in UNVERIFIED]
    count = 3 + seed[0] % 4
    names = [verified[(seed[1] + step * 5) % len(verified)] for step in range(count)]
    people = [
        person(name, 90 // (place + 1) + seed[place + 2] % 7) for place, name in enumerate(names)
    ]
    rows = sorted(people, key=lambda p: -p.contributions)
    extra = (bot("dependabot[bot]", 4), anonymous("ada", 2))
    return Repository(full_name, number_of(full_name), (*rows, *extra))


def _crowd(count: int) -> tuple[Contributor, ...]:
    named = [person(name, 400 - 10 * place) for place, name in enumerate(GIVEN)]
    rest = [person(f"contributor-{n:03d}", 60 - n // 5) for n in range(count - len(GIVEN))]
    robots = [bot("dependabot[bot]", 95), bot("github-actions[bot]", 31)]
    rows = sorted([*named, *rest, *robots], key=lambda p: -p.contributions)
    return (*rows, anonymous("alice", 12), anonymous("Grace", 3))


def _fixed(full_name: str, *rows: Contributor, app_installed: bool = True) -> Repository:
    return Repository(full_name, number_of(full_name), rows, app_installed=app_installed)


_ACME: Final = (
    person("ada", 60),
    person("grace", 25),
    person("linus", 10),
    person("Margaret", 5),
    bot("renovate[bot]", 3),
    anonymous("ken", 1),
)
REPOSITORIES: Final = {
    repository.full_name.lower(): repository
    for repository in (
        Repository("near/near-sdk-rs", number_of("near/near-sdk-rs"), _crowd(130)),
        _fixed("acme/widgets", *_ACME),
        _fixed("acme/empty"),
        Repository("acme/huge", number_of("acme/huge"), (), too_large=True),
        _fixed("acme/bots", bot("dependabot[bot]", 50), bot("renovate[bot]", 20)),
        _fixed("acme/unverified", person("tony", 8), person("vint", 2)),
        _fixed("acme/unregistered", person("nomad-one", 8), person("ada", 2)),
        _fixed("acme/no-app", person("ada", 8), person("ken", 2), app_installed=False),
    )
}
WITH_SPLIT: Final = ("acme/widgets", *(f"demo/pay-{n}" for n in range(1, 9)))
"""Repositories whose split is on the chain from the beginning, so that they can be paid."""

RENAMED: Final = {"acme/old-widgets": "acme/widgets"}


def find(full_name: str) -> Repository | None:
    """Return a repository by any spelling, or None; `demo/<name>` always exists."""
    known = REPOSITORIES.get(full_name.lower())
    if known is None and full_name.lower().startswith("demo/"):
        return _demo(full_name)
    return known


def account(login: str) -> Contributor | None:
    """Return an account by any spelling of its login, or None; contributions are of one place."""
    return _ACCOUNTS.get(login.lower())


def token_of(login: str) -> str:
    """Return the personal access token of a person: whoever knows it acts as that person."""
    return "ghp_" + hashlib.sha256(b"token:" + login.lower().encode()).hexdigest()[:36]


def who_has(token: str) -> Contributor | None:
    """Return the person whose token this is."""
    return _BY_TOKEN.get(token)


def verified_logins() -> tuple[str, ...]:
    """Return everybody whose wallet the contract knows, lower case."""
    crowd = (f"contributor-{n:03d}" for n in range(0, 100, 2))
    named = (name for name in GIVEN if name not in UNVERIFIED)
    return (*named, *sorted(UNREGISTERED), *crowd)


_ACCOUNTS: Final = {
    row.login.lower(): row
    for rows in (
        [person(name, 1) for name in GIVEN],
        *(repository.contributors for repository in REPOSITORIES.values()),
    )
    for row in rows
    if row.id is not None
}
_BY_TOKEN: Final = {token_of(login): row for login, row in _ACCOUNTS.items() if row.kind == "User"}
