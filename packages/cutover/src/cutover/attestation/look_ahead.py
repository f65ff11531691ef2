"""What the next evaluation set will say of a platform that is fine today (attestation §14).

Intel publishes each set early. A platform that falls short there will be out of date on the day the
set becomes standard, and its firmware is not ours to update in an afternoon.
"""

from typing import Any

import dcap_qvl  # type: ignore[import-untyped]  # stubs, but no py.typed

from cutover.attestation import dcap
from cutover.attestation.collateral import Collateral
from cutover.attestation.quote import Quote
from cutover.attestation.strict import read_json, table_of


def look_ahead(quote: Quote, early: Collateral, root: bytes | None, now: int) -> str:
    """A warning for a person, or an empty text if the platform stays up to date.

    Args:
        quote: verified under the standard set.
        early: the early set of the same platform, proved.
        root: a test root in DER; None for Intel's.
        now: Unix seconds.
    """
    number = early.evaluation.tcb
    at = min(max(now, early.begins), early.ends - 1)
    try:
        status = dcap.verify(quote, early, root, at).status
    except dcap.RejectedError as error:
        return f"evaluation {number}, published early, rejects this platform: {error.text}"
    if status == "UpToDate":
        return ""
    short = ", ".join(_short_of(quote, early)) or "see the TCB levels"
    return (
        f"evaluation {number}, published early, calls this platform {status}: {short}. Have its"
        " firmware updated before the set becomes standard"
    )


def _short_of(quote: Quote, early: Collateral) -> list[str]:
    """Which security version numbers are below the newest level that is up to date."""
    info = table_of(read_json(read_json(early.text, "collateral")["tcb_info"], "tcb_info"), "info")
    levels: list[dict[str, Any]] = info.get("tcbLevels", [])
    level = next((one for one in levels if one.get("tcbStatus") == "UpToDate"), None)
    if level is None:
        return ["no level is up to date"]
    tcb = table_of(level.get("tcb"), "tcb")
    pck = dcap_qvl.parse_quote(quote.raw).pck_extension()
    asked = (
        ("SGX component", tcb.get("sgxtcbcomponents", []), pck.cpu_svn),
        ("TDX component", tcb.get("tdxtcbcomponents", []), quote.report.tee_tcb_svn),
        ("PCE", [{"svn": tcb.get("pcesvn", 0)}], [pck.pce_svn]),
    )
    return [
        f"{name} {number}: {has} below {wanted.get('svn', 0)}"
        for name, components, svns in asked
        for number, (wanted, has) in enumerate(zip(components, svns, strict=False), 1)
        if has < wanted.get("svn", 0)
    ]
