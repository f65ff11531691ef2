"""Keeps what each look was judged by, so that anybody can judge it again; thins out monitoring.

Nine days of one look a minute are thirteen thousand. What stays for ever: the first look of a
process, one whose verdict or identity is not that of the look before, one for anything but
monitoring, one an hour, and those that a decision followed. Any other goes when two newer ones are
kept; the journal still has its name.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cutover.attestation.examine import Examination
from cutover.attestation.keep import KeepError
from cutover.attestation.kept_folder import KeptFolder
from cutover.attestation.policy_file import load_policy
from cutover.attestation.record import (
    VERSION,
    Circumstances,
    Record,
    answer_of,
    collateral_of,
    decode,
    differences,
    encode,
    rejudge,
    sha256,
)
from cutover.attestation.strict import MalformedError

MONITOR: Final = "monitor"
HOUR_SECONDS: Final = 3600
RECENT: Final = 2
"""Newest records, kept whatever they say: a decision may still rest on the one before the last."""
KEPT_BYTES_MAX: Final = 256 << 20
"""Above it only what a decision followed stays: a plane that changes with every look must not fill
a disk. A usual run keeps a thirtieth of it."""


@dataclass(slots=True)
class _Look:
    """A recent record; `stays` once it is known."""

    name: str
    size: int
    marker: str
    stays: bool


class Records:
    """Keeps the looks at one plane.

    Args:
        folder: `evidence` in the run's data directory.
        policy_text: what the examiner judges by, as it was read.
        root: likewise; None for Intel's.

    Raises:
        PolicyError: the text is no policy.
        KeepError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path, policy_text: str, root: bytes | None = None) -> None:
        self._folder = KeptFolder(folder)
        self._policy = load_policy(policy_text, "policy")
        self._root = root
        self._policy_name = self._folder.keep_part(policy_text.encode())
        self._root_name = None if root is None else self._folder.keep_part(root)
        self._bytes = self._folder.size()
        self._recent: list[_Look] = []
        self._before: tuple[str, str] | None = None
        self._hour = 0
        self._turn = threading.Lock()  # it is called from threads, and one look may meet another

    def keep(self, look: Examination, purpose: str, marker: str = "") -> str:
        """Keep a look; it is on disk before this returns.

        Args:
            look: the examination.
            purpose: as the look was made for; `monitor` is thinned out.
            marker: changes with every decision (such as the generation of the routing table): then
                the looks that the decision may rest on stay.

        Returns:
            The record's SHA-256 in hex, for the journal.

        Raises:
            KeepError: it cannot be written, or does not bear its verdict out because the examiner
                judges by another policy or root than was handed over here.
        """
        with self._turn:
            return self._keep(look, purpose, marker)

    def _keep(self, look: Examination, purpose: str, marker: str) -> str:
        try:
            record = self._record(look, purpose)
            raw = encode(record)
            if self._before is None:
                self._bears_out(decode(raw), look)
        except MalformedError as error:
            raise KeepError(f"a look at {self._policy.plane} cannot be kept: {error}") from error
        if look.collateral:
            self._folder.keep_part(look.collateral.encode())
        name = self._folder.keep_record(raw)
        self._bytes += len(raw)
        stays = self._stays(look, purpose)
        self._thin(_Look(name, len(raw), marker, stays))
        return name

    def _record(self, look: Examination, purpose: str) -> Record:
        asked = look.asked
        if asked.nonce is None:
            raise MalformedError("a look without a nonce", "one that asked with a nonce of ours")
        noted = Circumstances(
            now=asked.now,
            fetched=look.fetched,
            nonce=asked.nonce.value.hex(),
            issued=asked.nonce.issued,
            used=asked.nonce.used,
            peer_spki=None if asked.peer_spki is None else asked.peer_spki.hex(),
            peer_ends=asked.peer_ends,
            floor=(asked.floor.tcb, asked.floor.qe),
            last_seen=asked.last_seen,
            out_of_date_since=asked.out_of_date_since,
        )
        return Record(
            v=VERSION,
            plane=self._policy.plane,
            purpose=purpose,
            answer=None if look.raw is None else answer_of(look.raw),
            asked=noted,
            policy=self._policy_name,
            collateral=sha256(look.collateral.encode()) if look.collateral else None,
            root=self._root_name,
            found=look.verification,
        )

    def _bears_out(self, record: Record, look: Examination) -> None:
        """Once: policy and root do not change later, and nine days on it would be too late."""
        collateral = collateral_of(look.collateral.encode()) if look.collateral else None
        again = rejudge(record, self._policy, collateral, self._root)
        if found := list(differences(look.verification, again)):
            expected = "the verdict that policy and root of these records give"
            raise MalformedError("; ".join(found), expected)

    def _stays(self, look: Examination, purpose: str) -> bool:
        found = look.verification
        now, before = (found.verdict.value, found.identity), self._before
        self._before = now
        due = not 0 <= found.checked_at - self._hour < HOUR_SECONDS
        stays = before != now or purpose != MONITOR or due
        if not stays or self._bytes > KEPT_BYTES_MAX:
            return False
        self._hour = found.checked_at
        return True

    def _thin(self, look: _Look) -> None:
        for one in self._recent:
            one.stays = one.stays or one.marker != look.marker
        self._recent.append(look)
        while len(self._recent) > RECENT:
            oldest = self._recent.pop(0)
            if not oldest.stays:
                self._folder.remove_record(oldest.name)
                self._bytes -= oldest.size
