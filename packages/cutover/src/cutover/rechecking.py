"""Judges a run's verdicts again, from its archive or from the folder where evidence is kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from cutover.attestation.keep import KeepError
from cutover.attestation.kept_folder import FOLDER, KeptFolder
from cutover.attestation.recheck import Part, Recheck, Rejudged
from cutover.errors import ConfigurationError, JournalError
from cutover.evidence.observation import Attestation
from cutover.journal import archive
from cutover.journal.finding import Finding, Flaw
from cutover.journal.kept import Tally


class Looked(msgspec.Struct, frozen=True):
    """One kept look and what became of it; texts are empty where the record cannot be read.

    Attributes:
        record: SHA-256 of the record.
        agrees: whether the evidence gives the verdict that was kept, and the journal says no more.
        troubles: why not.
        plane: who was asked.
        purpose: what for.
        checked_at: Unix seconds that it was judged for.
        verdict: as kept.
        identity: as kept.
        marks: what stands beside the verdict, as judged again.
    """

    record: str
    agrees: bool
    troubles: tuple[str, ...]
    plane: str = ""
    purpose: str = ""
    checked_at: int = 0
    verdict: str = ""
    identity: str = ""
    marks: tuple[str, ...] = ()


class Report(NamedTuple):
    """What a recheck found.

    Attributes:
        looks: every kept look, in the journal's order; by name for a folder.
        findings: what is wrong with the archive; empty for a folder.
        evidence: how many of the journaled verdicts have evidence; None for a folder, which does
            not know them.
    """

    looks: tuple[Looked, ...]
    findings: tuple[Finding, ...]
    evidence: Tally | None

    @property
    def ok(self) -> bool:
        """All agree; nothing at all does not."""
        return bool(self.looks) and all(one.agrees for one in self.looks) and not self.findings


def recheck(path: Path, root: bytes | None) -> Report:
    """Judge every kept look again.

    Args:
        path: an archive, a folder of evidence, or a run's data directory.
        root: the test root that the reader knows, in DER; None to take the one that was used.

    Raises:
        ConfigurationError: there is no kept evidence, or nothing that could be read as an archive.
    """
    listing = _Listing(root)
    report = _folder(path, listing) if path.is_dir() else _archive(path, listing)
    if not report.looks and not report.findings:
        raise ConfigurationError(
            f"{path} has no kept evidence, so no verdict can be judged again; expected the archive "
            f"of a run that looked at an attested plane, or its folder {FOLDER!r}"
        )
    return report


class _Listing(Recheck):
    """Notes what it judges."""

    def __init__(self, root: bytes | None) -> None:
        super().__init__(root)
        self.looks: list[Looked] = []

    def against(self, raw: bytes, part: Part, entry: Attestation) -> str | None:
        """As inherited."""
        found = self.held_against(raw, part, entry)
        self.looks.append(_looked(found))
        return "; ".join(found.troubles) or None


def _folder(path: Path, listing: _Listing) -> Report:
    kept = KeptFolder(path / FOLDER if (path / FOLDER).is_dir() else path)
    return Report(tuple(_each(kept, listing)), (), None)


def _each(kept: KeptFolder, listing: _Listing) -> Iterator[Looked]:
    for name in kept.names():
        try:
            raw = kept.record(name)
            if raw is not None:  # a conductor at work may just have thinned it out
                yield _looked(listing.again(raw, kept.part))
        except KeepError as error:
            yield Looked(name, agrees=False, troubles=(str(error),))


def _archive(path: Path, listing: _Listing) -> Report:
    try:
        seen = archive.audit(path, redecide=None, recheck=listing)
    except JournalError as error:
        raise ConfigurationError(str(error)) from error
    for finding in seen.findings:
        if (finding.part, finding.flaw) == ("archive", Flaw.UNREADABLE):
            raise ConfigurationError(f"{path}: {finding}")
    return Report(tuple(listing.looks), tuple(seen.findings), seen.evidence)


def _looked(found: Rejudged) -> Looked:
    record = found.record
    if record is None:
        return Looked(found.name, agrees=False, troubles=found.troubles)
    return Looked(
        found.name,
        not found.troubles,
        found.troubles,
        record.plane,
        record.purpose,
        record.asked.now,
        record.found.verdict.value,
        record.found.identity,
        (found.found or record.found).marks(),
    )
