"""What a text asks for (contract §4), matched over the whole text or not at all.

Theory: a text that is almost a command is not a command. Every form is anchored at both ends, so
`repay 10 USDC to o/r`, two commands in one text, and a command with trailing words are all
`Unclear`. Nothing but the `pay` forms below can ever become a payment.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

TEXT_MAX = 2_000


@dataclass(frozen=True)
class Repo:
    """A GitHub repository, spelled as the user spelled it.

    Attributes:
        owner: account name.
        name: repository name without `.git`.
    """

    owner: str
    name: str

    @property
    def slug(self) -> str:
        """`owner/name`, as the GitHub API wants it."""
        return f"{self.owner}/{self.name}"

    @property
    def url(self) -> str:
        """The canonical form used as key on chain and in texts."""
        return f"github.com/{self.slug}"


@dataclass(frozen=True)
class Analyze:
    """Who contributes to a repository."""

    repo: Repo


@dataclass(frozen=True)
class Create:
    """Create or update the split of a repository.

    Attributes:
        repo: the repository.
        percents: custom whole percentages for the first contributors; empty for proportional.
    """

    repo: Repo
    percents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pay:
    """Distribute money over a split. The amount stays text until the token is known."""

    repo: Repo
    amount: str
    token: str


@dataclass(frozen=True)
class Pending:
    """Show what is owed: `target` is a repository or a GitHub login."""

    target: Repo | str


@dataclass(frozen=True)
class Help:
    """Say what can be asked."""


@dataclass(frozen=True)
class Unclear:
    """Not a command of this service."""


Request: TypeAlias = Analyze | Create | Pay | Pending | Help | Unclear

_NAME = r"[A-Za-z0-9._-]{1,100}"
_REPO = rf"(?:https?://)?(?:www\.)?(?:github\.com/)?(?P<owner>{_NAME})/(?P<name>{_NAME})/?(?:[?#]\S{{0,200}})?"
_AMOUNT = r"(?P<amount>\d{1,24}(?:\.\d{1,24})?)"
_TOKEN = r"(?P<token>[A-Za-z][A-Za-z0-9.]{0,15})"  # noqa: S105 - a pattern, not a credential
_LOGIN = r"@?(?P<login>[A-Za-z0-9](?:[A-Za-z0-9-]{0,38}))"
_NOT_A_TOKEN = frozenset({"TO", "FOR", "OF", "AND"})
_MENTION = re.compile(r"^@[A-Za-z0-9._-]{1,64}[:,]?\s+")


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE | re.ASCII)


_ANALYZE = tuple(
    _form(form)
    for form in (
        rf"analy[sz]e {_REPO}",
        rf"who contributes? to {_REPO}",
        rf"who works? on {_REPO}",
        rf"show(?: me)?(?: the)? contributors? (?:for|of) {_REPO}",
        rf"what(?: about| is) {_REPO}",
    )
)
_CREATE = tuple(
    _form(form + r"(?P<percents>(?: with)? \d{1,3}(?:/\d{1,3})+)?")
    for form in (
        rf"create(?: a)?(?: split)?(?: for)? {_REPO}",
        rf"set up(?: payments?)?(?: for)? {_REPO}",
        rf"make(?: a)?(?: split)?(?: for)? {_REPO}",
    )
)
_PAY = tuple(
    _form(form)
    for form in (
        rf"(?:pay|send|give) {_AMOUNT} {_TOKEN}(?: to)? {_REPO}",
        rf"distribute \$?{_AMOUNT}(?: {_TOKEN})?(?: to)? {_REPO}",
    )
)
_PENDING = _form(rf"(?:show )?pending(?: claims?)?(?: for)? (?:{_REPO}|{_LOGIN})")
_HELP = _form(r"(?:help|what can you do)[?!.]?")


def read(text: str) -> Request:
    """Read one text; total, pure, and `Unclear` whenever in doubt."""
    if len(text) > TEXT_MAX:
        return Unclear()
    words = _MENTION.sub("", text.strip(), count=1).strip()
    for reader in (_analyze, _create, _pay, _pending, _help):
        found = reader(words)
        if found is not None:
            return found
    return Unclear()


def _analyze(words: str) -> Analyze | None:
    match = _first(_ANALYZE, words)
    repo = _repo(match)
    return Analyze(repo) if repo else None


def _create(words: str) -> Create | None:
    match = _first(_CREATE, words)
    repo = _repo(match)
    if match is None or repo is None:
        return None
    percents = re.findall(r"\d+", match["percents"] or "")
    return Create(repo, tuple(int(percent) for percent in percents))


def _pay(words: str) -> Pay | None:
    match = _first(_PAY, words)
    repo = _repo(match)
    if match is None or repo is None:
        return None
    token = (match["token"] or "USDC").upper()
    if token in _NOT_A_TOKEN:
        token = "USDC"  # noqa: S105 - `distribute 20 to o/r`: the word is the preposition
        if not words.lower().startswith("distribute"):
            return None
    return Pay(repo, match["amount"], token)


def _pending(words: str) -> Pending | None:
    match = _PENDING.fullmatch(words)
    if match is None:
        return None
    if match["login"]:
        return (
            None
            if match["login"].lower() in {"for", "claim", "claims"}
            else Pending(match["login"])
        )
    repo = _repo(match)
    return Pending(repo) if repo else None


def _help(words: str) -> Help | None:
    return Help() if _HELP.fullmatch(words) else None


def _first(forms: tuple[re.Pattern[str], ...], words: str) -> re.Match[str] | None:
    return next((match for form in forms if (match := form.fullmatch(words))), None)


def _repo(match: re.Match[str] | None) -> Repo | None:
    """The repository a form named, or None where the name cannot be one."""
    if match is None:
        return None
    owner, name = match["owner"], match["name"].removesuffix(".git")
    if owner.lower() in {"github.com", "www.github.com"} or not re.search(r"[A-Za-z0-9]", owner):
        return None
    return None if name in {"", ".", ".."} else Repo(owner, name)
