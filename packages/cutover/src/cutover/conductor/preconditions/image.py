"""Whether both planes run one image: equal digests, by records and not by a plane's own word.

A plane's record is its declared image, its compose file, or what the engine of its host tells. An
attested plane's is the app-compose file that its quote vouches for, whatever was declared. A
plane's own word (version, build, digest) may contradict its record and can never replace it, but
in a rehearsal. What makes another program of the image breaks identity, however equal the digests.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from cutover.attestation.compose import services
from cutover.attestation.strict import MalformedError, table_of
from cutover.conductor.preconditions.answers import Identity, Silence
from cutover.conductor.preconditions.changes import MAY_MOUNT, changed_by_service
from cutover.conductor.preconditions.finding import Finding, believed, fails, holds, unknown
from cutover.evidence.planes import Answer

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Running:
    """What is known of a plane's image.

    Attributes:
        plane: its name.
        image: reference by its deployment record; empty when none is declared.
        record: what that record is, for people.
        health: its `/health`.
        identity: its `/identity`.
        service: the service in the attested compose file that is the runtime.
        attested: whether its quote must say what it runs.
        compose: the attested app-compose file; None while none is proved.
        told: what was found about the record itself.
    """

    plane: str
    image: str
    record: str
    health: Answer
    identity: Identity | Silence
    service: str = "agent"
    attested: bool = False
    compose: bytes | None = None
    told: tuple[Finding, ...] = ()


def judge_image(
    first: Running,
    second: Running,
    may_mount: Collection[str] = MAY_MOUNT,
    *,
    rehearsal: bool,
) -> list[Finding]:
    """Every finding about the images of two planes.

    Args:
        first: one of them.
        second: the other.
        may_mount: places where an attested compose file may put data.
        rehearsal: a plane without a record is believed.
    """
    found = [_said(first, second)]
    digests = []
    for one in (first, second):
        digest, findings = _recorded(one, may_mount, rehearsal=rehearsal)
        digests.append(digest)
        found += [*findings, *one.told, *_contradicted(one, digest)]
    if all(digests):
        same = digests[0] == digests[1]
        found.append(holds("one digest on both") if same else fails("the digests differ"))
    return found


def _said(first: Running, second: Running) -> Finding:
    said = [(one.health.field("version"), one.health.field("build")) for one in (first, second)]
    words = ", ".join(
        f"{one.plane} runs {str(version)[:40]} build {str(build)[:40]}"
        for one, (version, build) in zip((first, second), said, strict=True)
    )
    if said[0] != said[1] or said[0][0] is None:
        return fails(f"{words}; expected the same version and build on both")
    return holds(words)


def _recorded(
    one: Running, may_mount: Collection[str], *, rehearsal: bool
) -> tuple[str, list[Finding]]:
    """The digest by the plane's record, empty where there is none to go by."""
    if one.attested:
        return _attested(one, may_mount)
    if not one.image:
        if one.told:  # which says why
            return "", []
        text = f"{one.plane}: declare planes.{one.plane}.image with its digest, its compose file"
        return "", [believed(f"{text}, or its engine's record", rehearsal=rehearsal)]
    digest = digest_of(one.image)
    if not digest:
        return "", [fails(f"{one.plane}: {one.record} names no digest, expected NAME@sha256:…")]
    return digest, [holds(f"{one.plane}: {digest} by {one.record}")]


def _attested(one: Running, may_mount: Collection[str]) -> tuple[str, list[Finding]]:
    if one.compose is None:
        text = f"{one.plane}: no compose file is attested yet; this is looked at again by itself"
        return "", [unknown(text)]
    try:
        service = _service_in(one.compose, one.service)
    except MalformedError as error:
        return "", [unknown(f"{one.plane}: the attested compose file has {error}")]
    digest = digest_of(str(service.get("image", "")))
    if not digest:
        return "", [fails(f"{one.plane}: its attested compose file pins no digest")]
    found = [
        fails(f"{one.plane}: its attested compose file has {change}, so the digest does not say"
              " what runs")
        for change in changed_by_service(service, may_mount)
    ]  # fmt: skip
    if one.image and digest_of(one.image) != digest:
        declared = digest_of(one.image) or "no digest"
        text = f"{one.plane}: {one.record} names {declared}, and {digest} is attested"
        return digest, [*found, fails(text)]
    return digest, [*found, holds(f"{one.plane}: {digest} by its attested compose file")]


def _service_in(raw: bytes, service: str) -> dict[str, Any]:
    """A service in an app-compose file.

    Raises:
        MalformedError: there is no such service, or none at all.
    """
    found = services(raw)
    if service not in found:
        raise MalformedError(f"no service {service!r}, only {', '.join(sorted(found))[:100]}", "it")
    return table_of(found[service], f"service {service}")


def _contradicted(one: Running, digest: str) -> list[Finding]:
    """What the plane itself was told that it runs, where that is something else."""
    said = one.identity.image_digest if isinstance(one.identity, Identity) else ""
    if not said or not digest or said == digest:
        return []
    return [fails(f"{one.plane}: it says that it runs {said}, and its record is {digest}")]


def digest_of(image: str) -> str:
    """The digest in an image reference; empty when it has none."""
    digest = image.rpartition("@")[2]
    return digest if _DIGEST.fullmatch(digest) else ""
