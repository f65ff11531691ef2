"""A deployment record: what the container engine of a plane's host says that it runs.

It is a file that `deploy/record.sh` prints on that host: the time, then parts of what
`docker inspect` tells of the container and of its image. Identity is a digest of `RepoDigests`,
never an `Id`, which two engines may compute apart (rails §7); the `Id` only ties the container to
the image that is described beside it. A record is of its moment: an old one, or one of a container
that has begun again since, cannot be judged by.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from cutover.attestation.strict import MalformedError, read_json, shown
from cutover.conductor.preconditions.changes import LOADERS, changed_by_mounts
from cutover.conductor.preconditions.finding import Finding, fails, holds, unknown
from cutover.evidence.planes import Answer

CLOCKS_MS: Final = 120_000
"""How far two clocks, or a container's begin and its program's, may lie apart."""

REVISION: Final = "org.opencontainers.image.revision"
VERSION: Final = "org.opencontainers.image.version"

Text = Annotated[str, Meta(max_length=500)]
Texts = Annotated[list[Text], Meta(max_length=200)]
Labels = Annotated[dict[Text, str], Meta(max_length=200)]


class _Read(msgspec.Struct, frozen=True, rename="pascal"):
    """Of the engine's words only what is named here is read."""


class _Config(_Read, frozen=True, rename="pascal"):
    entrypoint: Texts | None
    cmd: Texts | None
    working_dir: Text
    env: Texts | None


class _ContainerConfig(_Config, frozen=True, rename="pascal"):
    image: Text


class _State(_Read, frozen=True, rename="pascal"):
    running: bool
    started_at: Text


class _Host(_Read, frozen=True, rename="pascal"):
    privileged: bool
    tmpfs: dict[Text, Text] | None


class _Mount(_Read, frozen=True, rename="pascal"):
    destination: Text


class _Container(_Read, frozen=True, rename="pascal"):
    image: Text
    state: _State
    config: _ContainerConfig
    host_config: _Host
    mounts: Annotated[list[_Mount], Meta(max_length=200)]


class _ImageConfig(_Config, frozen=True, rename="pascal"):
    labels: Labels | None


class _Image(_Read, frozen=True, rename="pascal"):
    id: Text
    repo_digests: Texts | None
    config: _ImageConfig


@dataclass(frozen=True, slots=True)
class Record:
    """What was told.

    Attributes:
        taken_ms: when, by the clock of the plane's host, milliseconds.
        started_ms: when the container began, by the same clock.
        container, image: what the engine says.
    """

    taken_ms: int
    started_ms: int
    container: _Container
    image: _Image


@dataclass(frozen=True, slots=True)
class Limits:
    """What a record is judged by.

    Attributes:
        age_ms_max: age from which it says nothing any more.
        may_mount: places where data may be mounted.
    """

    age_ms_max: int
    may_mount: tuple[str, ...]


def read_record(raw: bytes) -> Record:
    """Read a record.

    Raises:
        MalformedError: it is none, or has what must not leave a plane. No value is repeated.
    """
    whole = read_json(raw, "deployment record")
    if not isinstance(whole, dict):
        raise MalformedError("no JSON object", "what deploy/record.sh prints")
    taken = _time("takenAt", whole.get("takenAt"))
    container = _part(whole, "container", _Container)
    foreign = [one.partition("=")[0] for one in container.config.env or ()]
    if beyond := [name for name in foreign if name not in LOADERS]:
        said = f"container: Config.Env with {len(beyond)} variables that no loader reads"
        expected = "no secret of a plane here: delete the file, and take it by deploy/record.sh"
        raise MalformedError(said, expected)
    started = _time("container: State.StartedAt", container.state.started_at)
    return Record(taken, started, container, _part(whole, "image", _Image))


def judge_record(
    plane: str, record: Record, place: str, health: Answer, wall_ms: int, limits: Limits
) -> tuple[str, list[Finding]]:
    """The image reference that a record vouches for, empty where none; and every finding.

    Args:
        plane: whose record.
        record: what it says.
        place: the file's name.
        health: the plane's `/health`, for when it began and which build it is.
        wall_ms: the wall clock, milliseconds.
        limits: what it is judged by.
    """
    stale = _aged(plane, record, place, wall_ms, limits)
    if stale is not None:
        return "", [stale]
    broken = [*_running(record), *_changed(record, limits)]
    image, text = _digest(record)
    findings = [fails(f"{plane}: by {place} {one}") for one in broken]
    if not image:
        findings.append(fails(f"{plane}: by {place} {text}"))
    findings += _same_process(plane, record, health, wall_ms)
    findings += _same_build(plane, record, health)
    if not broken:
        findings.append(holds(f"{plane}: its container runs the image's own command, unchanged"))
    return image, findings


T = TypeVar("T", _Container, _Image)


def _part(whole: dict[str, object], name: str, kind: type[T]) -> T:
    """One of the two parts: an object, or the engine's list of one."""
    value = whole.get(name)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:  # its text has names and kinds, no value
        said = f"{name}: {shown(str(error))}"
        raise MalformedError(said, "it as deploy/record.sh prints it") from None


def _time(name: str, value: object) -> int:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise MalformedError(f"{name}: no such time", "one as 2026-03-01T12:00:00Z")
    return round(found.timestamp() * 1000)


def _aged(plane: str, record: Record, place: str, wall_ms: int, limits: Limits) -> Finding | None:
    age_ms = wall_ms - record.taken_ms
    if age_ms > limits.age_ms_max:
        text = (
            f"{place} is {age_ms // 60_000} min old, expected at most "
            f"{limits.age_ms_max // 60_000}: what runs now is not known, take it again"
        )
        return unknown(f"{plane}: {text}")
    if age_ms < -CLOCKS_MS:
        text = f"{place} is from {-age_ms // 1000} s ahead: set the clock of that host, or of this"
        return unknown(f"{plane}: {text}")
    return None


def _running(record: Record) -> list[str]:
    found = []
    if not record.container.state.running:
        found.append("the container does not run: start it, and take the record again")
    if record.container.image != record.image.id:
        found.append("container and image are of two images: take the record again")
    return found


def _changed(record: Record, limits: Limits) -> list[str]:
    """What makes another program of the image that it has the digest of."""
    container, image = record.container, record.image
    run, made = container.config, image.config
    found = [
        f"{name} is changed"
        for name, one, other in (
            ("the entrypoint", run.entrypoint, made.entrypoint),
            ("the command", run.cmd, made.cmd),
            ("the working directory", run.working_dir, made.working_dir),
        )
        if (one or None) != (other or None)
    ]
    now, then = _loaders(run.env), _loaders(made.env)
    differing = [name for name in LOADERS if now.get(name) != then.get(name)]
    found += [f"the variable {name} is changed" for name in differing]
    places = [*(one.destination for one in container.mounts), *(container.host_config.tmpfs or {})]
    found += [f"there is {one}" for one in changed_by_mounts(places, limits.may_mount)]
    if container.host_config.privileged:
        found.append("the container is privileged")
    return [f"{one}, so the digest does not say what runs" for one in found]


def _loaders(env: list[str] | None) -> dict[str, str]:
    pairs = (one.partition("=") for one in env or ())
    return {name: value for name, _, value in pairs if name in LOADERS}


def _digest(record: Record) -> tuple[str, str]:
    """The reference by `RepoDigests`, or why there is none."""
    known = sorted(set(record.image.repo_digests or ()))
    started_as = record.container.config.image
    if "@" in started_as:
        digest = started_as.partition("@")[2]
        if any(one.partition("@")[2] == digest for one in known):
            return started_as, ""
        return "", f"{shown(started_as)} was started, which is none of the image's RepoDigests"
    digests = {one.partition("@")[2] for one in known}
    if len(digests) == 1:
        return known[0], ""
    seen = f"{len(digests)} digests" if digests else "no digest: it was never pushed nor pulled"
    return "", f"the image has {seen}, expected to be started as NAME@sha256:…"


def _same_process(plane: str, record: Record, health: Answer, wall_ms: int) -> list[Finding]:
    """Whether who answers is who the record is about: both began at one time."""
    uptime = health.field("uptime")
    if not isinstance(uptime, int) or isinstance(uptime, bool) or uptime < 0:
        return [unknown(f"{plane}: /health tells no uptime, so its record may be of another one")]
    apart_ms = (wall_ms - uptime) - record.started_ms
    if abs(apart_ms) <= CLOCKS_MS:
        return [holds(f"{plane}: who answers began with the recorded container")]
    word = "after" if apart_ms > 0 else "before"
    text = f"who answers began {abs(apart_ms) // 1000} s {word} the recorded container"
    return [unknown(f"{plane}: {text}: it is another one, take the record again")]


def _same_build(plane: str, record: Record, health: Answer) -> list[Finding]:
    """Whether the labels of the image fit what the plane says of itself."""
    labels = record.image.config.labels or {}
    found, told = [], []
    for field, label in (("build", REVISION), ("version", VERSION)):
        said, written = health.field(field), labels.get(label, "")
        told.append(f"{field} {shown(written) or 'without a label'}")
        if written and isinstance(said, str) and said and said != written:
            text = f"/health says {field} {shown(said)}, its image's label {shown(written)}"
            found.append(fails(f"{plane}: {text}"))
    if found or not labels.keys() & {REVISION, VERSION}:
        return found
    return [holds(f"{plane}: the labels of its image fit what it says: {', '.join(told)}")]
