"""Everything that a verifier needs beside the quote, made for one moment and one state."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from sandbox.tee import tcb
from sandbox.tee.pki import Authority, Issued
from sandbox.tee.platform import Platform
from sandbox.tee.settings import Collateral, Dates

_HOUR: Final = 3600
Update = Literal["early", "standard"]


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the documents of a platform's collateral; the same ones within one clock hour.

    Attributes:
        platform: its authorities sign; the documents are about its FMSPC and its patch levels, so
            for a patched machine give the platform as it was before.
        settings: what is good, old, revoked.
        now: Unix seconds.
    """

    platform: Platform
    settings: Collateral
    now: int

    def _times(self, dates: Dates) -> tuple[int, int]:
        frozen = self.settings.frozen_at
        reference = self.now - self.now % _HOUR if frozen is None else frozen
        issued = reference - dates.age_seconds
        return issued, issued + dates.life_seconds

    def tcb_info(self, update: Update = "standard", kind: tcb.Kind = "TDX") -> tcb.Signed:
        """Return TCB info."""
        found = self.settings.set_of(update)
        return tcb.tcb_info(self.platform, found, *self._times(self.settings.tcb_info), kind)

    def qe_identity(self, update: Update = "standard") -> tcb.Signed:
        """Return the identity of the quoting enclave."""
        found = self.settings.set_of(update)
        return tcb.qe_identity(self.platform.pki, found, *self._times(self.settings.qe_identity))

    def evaluation_numbers(self) -> tcb.Signed:
        """Return the list of evaluation data sets."""
        found = [self.settings.standard]
        if self.settings.early is not None:
            found.append(self.settings.early)
        times = self._times(self.settings.tcb_info)
        return tcb.evaluation_numbers(self.platform.pki, found, *times)

    def root_crl(self) -> bytes:
        """Return the root's revocation list, DER."""
        return self._crl(self.platform.pki.root, self.settings.root_crl)

    def pck_crl(self, authority: Authority = "platform") -> bytes:
        """Return a PCK authority's revocation list, DER."""
        return self._crl(self.platform.pki.pck_ca(authority), self.settings.pck_crl)

    def _crl(self, issuer: Issued, dates: Dates) -> bytes:
        return self.platform.pki.crl(issuer, self.settings.revoked, *self._times(dates))

    def quote_collateral(self, update: Update = "standard") -> dict[str, Any]:
        """Return the whole set in the form of QuoteCollateralV3, without a PCK chain."""
        pki = self.platform.pki
        info, identity = self.tcb_info(update), self.qe_identity(update)
        return {
            "pck_crl_issuer_chain": pki.pck_ca_chain("platform"),
            "root_ca_crl": self.root_crl().hex(),
            "pck_crl": self.pck_crl().hex(),
            "tcb_info_issuer_chain": pki.tcb_chain,
            "tcb_info": info.text,
            "tcb_info_signature": info.signature.hex(),
            "qe_identity_issuer_chain": pki.tcb_chain,
            "qe_identity": identity.text,
            "qe_identity_signature": identity.signature.hex(),
        }

    def json(self, update: Update = "standard") -> str:
        """Return `quote_collateral` as JSON text."""
        return json.dumps(self.quote_collateral(update))
