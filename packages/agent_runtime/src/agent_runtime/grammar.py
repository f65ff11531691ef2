"""What a text asks for (contract §4), matched over the whole text or not at all.

Theory: a text that is almost a command is not a command. Every form is anchored at both ends, so
`repay 10 USDC to o/r`, two commands in one text, and a command with trailing words are all
`Unclear`. Nothing but the `pay` forms can ever become a payment, and nothing but `approve` can
set off one that was planned. Two mentions may stand in front: the web proxy adds one of its own.
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
class VerifyRepo:
    """Who of a repository has a verified wallet."""

    repo: Repo


@dataclass(frozen=True)
class VerifyLogin:
    """Link a GitHub login to the caller's wallet, by proof."""

    login: str


@dataclass(frozen=True)
class Reputation:
    """How a login is rated."""

    login: str


@dataclass(frozen=True)
class SetMode:
    """Choose how commands are carried out: advisor, draft or execute."""

    mode: str


@dataclass(frozen=True)
class SetExperience:
    """Choose how much is said: guided or hands_off."""

    experience: str


@dataclass(frozen=True)
class Approve:
    """Carry out a plan; `plan_id` is empty for the one that waits."""

    plan_id: str


@dataclass(frozen=True)
class Cancel:
    """Drop the plan that waits."""


@dataclass(frozen=True)
class Replay:
    """Ask again what was asked in an event."""

    event_id: str


@dataclass(frozen=True)
class ShowSplit:
    """Show a split by its id."""

    split_id: str


@dataclass(frozen=True)
class ShowSplits:
    """Show the split of a repository."""

    repo: Repo


@dataclass(frozen=True)
class Help:
    """Say what can be asked."""


@dataclass(frozen=True)
class Unclear:
    """Not a command of this service."""


Request: TypeAlias = (
    Analyze
    | Create
    | Pay
    | Pending
    | VerifyRepo
    | VerifyLogin
    | Reputation
    | SetMode
    | SetExperience
    | Approve
    | Cancel
    | Replay
    | ShowSplit
    | ShowSplits
    | Help
    | Unclear
)

_NAME = r"[A-Za-z0-9._-]{1,100}"
_REPO = rf"(?:https?://)?(?:www\.)?(?:github\.com/)?(?P<owner>{_NAME})/(?P<name>{_NAME})/?(?:[?#]\S{{0,200}})?"
_AMOUNT = r"(?P<amount>\d{1,24}(?:\.\d{1,24})?)"
_TOKEN = r"(?P<token>[A-Za-z][A-Za-z0-9.]{0,15})"  # noqa: S105 - a pattern, not a credential
_WORDS = "for|of|to|my|github|claims?|contributors?|status"  # of this grammar, nobody's name
_LOGIN = (
    rf"@?(?P<login>(?!(?:{_WORDS})(?![A-Za-z0-9_-]))"
    r"(?=[A-Za-z0-9_-]{1,39}(?![A-Za-z0-9_-]))[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*)"
)
_NOT_A_TOKEN = frozenset({"TO", "FOR", "OF", "AND"})
_MENTIONS = re.compile(r"(?:@[A-Za-z0-9._-]{1,64}[:,]?\s+){1,2}")


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
_VERIFY_REPO = _form(rf"verify contributors? (?:for|of) {_REPO}")
_VERIFY_LOGIN = _form(rf"(?:verify|link|connect)(?: my)?(?: github)? {_LOGIN}")
_REPUTATION = tuple(
    _form(form)
    for form in (
        rf"reputation(?: for)? {_LOGIN}",
        rf"is {_LOGIN} (?:eligible|trusted|reputable)[?]?",
        rf"erc8004(?: status)?(?: for)? {_LOGIN}",
    )
)
_MODE = _form(r"(?:set )?mode (?P<mode>advisor|draft|execute)")
_EXPERIENCE = _form(r"(?:set )?experience (?P<experience>guided|hands[_-]off|hands off)")
_APPROVE = _form(r"approve(?: (?P<plan>plan-[0-9a-f]{1,64}))?")
_REPLAY = _form(r"replay (?P<event>[0-9a-z][0-9a-z_-]{0,63})")
_SHOW_SPLIT = _form(r"(?:show split|info for) (?P<split>split-[a-z0-9-]{1,64})")
_SHOW_SPLITS = _form(rf"show splits for {_REPO}")
_HELP = _form(r"(?:help|what can you do)[?!.]?")


def read(text: str) -> Request:
    """Read one text; total, pure, and `Unclear` whenever in doubt."""
    if len(text) > TEXT_MAX:
        return Unclear()
    said = text.strip()
    mentions = _MENTIONS.match(said)
    words = said[mentions.end() if mentions else 0 :].strip()
    for reader in (_analyze, _create, _pay, _pending, _verify, _reputation, _modes, _plans, _help):
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
        return Pending(match["login"])
    repo = _repo(match)
    return Pending(repo) if repo else None


def _verify(words: str) -> VerifyRepo | VerifyLogin | None:
    if match := _VERIFY_LOGIN.fullmatch(words):
        return VerifyLogin(match["login"])
    repo = _repo(_VERIFY_REPO.fullmatch(words))
    return VerifyRepo(repo) if repo else None


def _reputation(words: str) -> Reputation | None:
    match = _first(_REPUTATION, words)
    return Reputation(match["login"]) if match else None


def _modes(words: str) -> SetMode | SetExperience | None:
    if match := _MODE.fullmatch(words):
        return SetMode(match["mode"].lower())
    if match := _EXPERIENCE.fullmatch(words):
        guided = match["experience"].lower() == "guided"
        return SetExperience("guided" if guided else "hands_off")
    return None


def _plans(words: str) -> Approve | Cancel | Replay | None:
    if match := _APPROVE.fullmatch(words):
        return Approve((match["plan"] or "").lower())
    if match := _REPLAY.fullmatch(words):
        return Replay(match["event"].lower())
    return Cancel() if words.lower() == "cancel" else None


def _help(words: str) -> Help | ShowSplit | ShowSplits | None:
    if match := _SHOW_SPLIT.fullmatch(words):
        return ShowSplit(match["split"].lower())
    repo = _repo(_SHOW_SPLITS.fullmatch(words))
    if repo:
        return ShowSplits(repo)
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
