"""Whether a runbook and a deployment's file fit together, asked before anything starts."""

from urllib.parse import urlsplit

from cutover.attesting import Attesting, load_attesting
from cutover.conductor.preconditions import LOOPBACK
from cutover.errors import ConfigurationError
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Evidence
from cutover.settings import Settings

REPORTS_BEFORE_BLIND = 3
"""A node that loses one report and is late with the next is not silent yet."""


def check_fit(runbook: Runbook, settings: Settings) -> None:
    """Refuse what does not fit together before anything starts.

    Raises:
        ConfigurationError: other planes than the runbook's, reports too seldom for it, a rehearsal
            off loopback, or evidence asked for that could not be verified.
    """
    _planes(runbook, settings)
    if not runbook.rehearsal and settings.live is None:
        raise ConfigurationError(
            "the configuration has no [live] section: name the texts that the live intent gate "
            "executes on a repository of your own; each promotion creates a split and pays there"
        )
    _pace(runbook, settings)
    _rehearsal(runbook, settings)
    attesting_of(runbook, settings)


def attesting_of(runbook: Runbook, settings: Settings) -> Attesting | None:
    """How the candidate is verified; None where the runbook believes its report.

    Raises:
        ConfigurationError: a verified gate could never open with this configuration.
    """
    if runbook.attestation_gate().evidence is not Evidence.VERIFIED:
        return None
    attesting = load_attesting(settings)
    candidate = runbook.candidate
    if attesting.policy.plane != candidate:
        raise ConfigurationError(
            f"{settings.place('attestation', 'policy')}: a policy for the plane"
            f" {attesting.policy.plane!r}, expected {candidate!r}, the runbook's candidate: give"
            " the policy of that plane"
        )
    url = settings.planes[candidate].url
    if urlsplit(url).scheme != "https":
        raise ConfigurationError(
            f"{settings.place('planes', candidate, 'url')}: {urlsplit(url).scheme}, expected https:"
            " the runbook asks for verified evidence, and only a TLS key can tie it to the address"
            " that traffic goes to; let the plane serve TLS under its attested key"
        )
    return attesting


def _planes(runbook: Runbook, settings: Settings) -> None:
    if set(runbook.planes) != set(settings.planes):
        raise ConfigurationError(
            f"the configuration has planes {sorted(settings.planes)}, "
            f"the runbook {sorted(runbook.planes)}: give both the same names"
        )
    urls = {plane.url: name for name, plane in settings.planes.items()}
    if len(urls) != len(settings.planes):
        raise ConfigurationError(
            f"both planes are at {next(iter(urls))}: a cutover needs two, give each its own address"
        )
    entrance = settings.gateway.url if settings.gateway else None
    if entrance in urls:
        raise ConfigurationError(
            f"{settings.place('gateway', 'url')}: {entrance} is the address of the plane"
            f" {urls[entrance]!r}, expected the gateway's own: users who arrive at a plane are not"
            " split, and nothing could be moved for them"
        )


def _pace(runbook: Runbook, settings: Settings) -> None:
    pace = settings.gateway.report_every_ms if settings.gateway else 0
    if REPORTS_BEFORE_BLIND * pace > runbook.blind.after_ms:
        raise ConfigurationError(
            f"gateway.report_every_ms is {pace}, and the runbook calls a node silent after "
            f"{runbook.blind.after_ms} ms (blind.after): one late report would stop every soak; "
            f"expected at most {runbook.blind.after_ms // REPORTS_BEFORE_BLIND}"
        )


def _rehearsal(runbook: Runbook, settings: Settings) -> None:
    away = [
        f"{name} ({urlsplit(plane.url).hostname})"
        for name, plane in settings.planes.items()
        if urlsplit(plane.url).hostname not in LOOPBACK
    ]
    if runbook.rehearsal and away:
        raise ConfigurationError(
            f"the runbook is a rehearsal, which lets through what production refuses; "
            f"{', '.join(away)} are not on loopback: use a runbook without `rehearsal`"
        )
