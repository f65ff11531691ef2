"""Firmware, hardware shape, kernel and root file system: registers against an allow-list (§4).

RTMR3 alone is forgeable by a malicious base image, so nothing that the event log says counts until
MRTD and RTMR0 to 2 are known values. `mr_config_id` is a second way to the compose-hash which needs
no log (§3).
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eth_hash.auto import keccak

from cutover.attestation.eventlog import BootFacts
from cutover.attestation.quote import Report
from cutover.attestation.verdict import Measured, Outcome, Reason, Step, failed, passed

_PROVIDER_KINDS: Final = {"none": 0, "local-sgx": 1, "kms": 2, "tpm": 3}


class Source(StrEnum):
    """Where allowed values come from."""

    RECOMPUTED = "recomputed"
    """Computed from the image by an independent tool."""
    FIRST_USE = "first_use"
    """Seen at a first deployment that a person approved; nothing more."""


@dataclass(frozen=True, slots=True)
class Image:
    """One allowed combination of image and machine size; registers as raw bytes."""

    label: str
    source: Source
    mrtd: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes


class ConfigId(StrEnum):
    """What is asked of `mr_config_id`."""

    REQUIRED = "required"
    WHEN_SET = "when_set"


def measured(report: Report) -> Measured:
    """The registers as text."""
    return Measured(
        report.mr_td.hex(), report.rt_mr0.hex(), report.rt_mr1.hex(), report.rt_mr2.hex(),
        report.rt_mr3.hex(), report.mr_config_id.hex(),
    )  # fmt: skip


def judge_image(report: Report, allowed: Sequence[Image]) -> tuple[list[Reason], bool]:
    """Find the four registers, together, on the list; also whether only first use vouches."""
    step = Step.MEASUREMENTS
    seen = (report.mr_td, report.rt_mr0, report.rt_mr1, report.rt_mr2)
    matching = [i for i in allowed if (i.mrtd, i.rtmr0, i.rtmr1, i.rtmr2) == seen]
    for image in matching:
        if image.source is Source.RECOMPUTED:
            return [passed(step, "recomputed", f"image {image.label}")], False
    if matching:
        told = f"image {matching[0].label}, trusted on first use: nobody recomputed these values"
        return [Reason(step, Outcome.WARNED, "first_use", told)], True
    return [failed(step, "unknown_image", _nearest(seen, allowed), "an image on the list")], False


def _nearest(seen: tuple[bytes, ...], allowed: Sequence[Image]) -> str:
    """Which registers differ from the closest image: that tells a resize from an upgrade."""
    names = ("MRTD", "RTMR0", "RTMR1", "RTMR2")
    if not allowed:
        return "an empty list of images"
    best: list[str] = list(names)
    label = allowed[0].label
    for image in allowed:
        theirs = (image.mrtd, image.rtmr0, image.rtmr1, image.rtmr2)
        other = [n for n, a, b in zip(names, seen, theirs, strict=True) if a != b]
        if len(other) < len(best):
            best, label = other, image.label
    values = ", ".join(f"{name} {seen[names.index(name)].hex()[:16]}…" for name in best)
    return f"{values}, unlike image {label}"


def judge_config_id(report: Report, facts: BootFacts, asked: ConfigId) -> Reason:
    """Compare `mr_config_id`, in any of the forms that can be compared, with the event log."""
    step, value = Step.MR_CONFIG_ID, report.mr_config_id
    if not any(value):
        if asked is ConfigId.REQUIRED:
            return failed(step, "unset", "zeros", "a value set by the machine monitor")
        return Reason(step, Outcome.NOT_ASKED, "unset", "zeros; this platform does not set it")
    match value[0]:
        case 1:
            named = facts.compose_hash
        case 2:
            kind = bytes([_PROVIDER_KINDS.get(facts.provider, 255)])
            named = keccak(facts.compose_hash + facts.app_id + kind + facts.provider_id)
        case other:
            # Form 3 hashes a document that the bundle does not carry.
            return failed(step, "unknown_form", f"form {other}", "form 1 or 2 (attestation §3)")
    expected = (value[:1] + named).ljust(len(value), b"\0")
    if not hmac.compare_digest(value, expected):
        return failed(step, "mismatch", value.hex(), f"{expected.hex()}, by the event log")
    return passed(step, f"form_{value[0]}", "the compose-hash, without the event log's help")
