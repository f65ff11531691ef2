"""Everything a linter says about one runbook, as one value."""

from collections.abc import Sequence
from dataclasses import dataclass

from cutover.runbook.finding import Finding, Severity
from cutover.runbook.load import lint_text, load_text
from cutover.runbook.odds import spurious_rollback_odds


@dataclass(frozen=True)
class LintReport:
    """Findings in the text's order; odds only for a runbook that loads.

    Attributes:
        source: the file's name.
        findings: errors and warnings.
        odds: canary flake rate per run, and the odds of a spurious rollback over the run.
        verdict: one line.
    """

    source: str
    findings: tuple[Finding, ...]
    odds: tuple[tuple[float, float], ...]
    verdict: str


def report(text: str, source: str, rates: Sequence[float]) -> LintReport:
    """Lint one text."""
    findings = tuple(lint_text(text, source))
    errors = sum(f.severity is Severity.ERROR for f in findings)
    warnings = len(findings) - errors
    odds: tuple[tuple[float, float], ...] = ()
    if not errors:
        runbook = load_text(text, source)
        odds = tuple((rate, spurious_rollback_odds(runbook, rate)) for rate in rates)
    return LintReport(source, findings, odds, f"{errors} errors, {warnings} warnings")
