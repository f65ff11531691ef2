"""The door by which a runbook's text becomes something that may be executed.

Text → values (`shape`) → shape and units (`schema`) → what the parts owe each other (`rules`,
`plan`) → `Runbook` (`build`). All errors of a step are reported together, each with file and line;
a later step needs the earlier one to be clean.
"""

from cutover.runbook import advice, plan, rules
from cutover.runbook.build import build
from cutover.runbook.document import Runbook
from cutover.runbook.finding import Finding, RunbookError, Severity
from cutover.runbook.lines import located
from cutover.runbook.schema import Document, json_schema
from cutover.runbook.shape import NotTomlError, parse_toml, read_shape

__all__ = ["json_schema", "lint_text", "load_text"]


def load_text(text: str, source: str) -> Runbook:
    """The runbook that `text` spells out.

    Args:
        text: TOML, as the operator wrote it; kept word for word in the result.
        source: the file's name, for messages.

    Raises:
        RunbookError: with every error found; warnings do not stop a load.
    """
    document, findings = _read(text, source)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if document is None or errors:
        raise RunbookError(source, errors)
    return build(document, text)


def lint_text(text: str, source: str) -> list[Finding]:
    """Everything that is wrong (errors) or risky (warnings) in `text`, in its order.

    An empty list, or one of warnings only, means that `load_text` accepts it.
    """
    document, findings = _read(text, source)
    if document is not None and not findings:
        faults = advice.warnings(build(document, text))
        findings = located(faults, parse_toml(text), text, source)
    return findings


def _read(text: str, source: str) -> tuple[Document | None, list[Finding]]:
    try:
        values = parse_toml(text)
    except NotTomlError as error:
        seen = f"text that cannot be read ({error.seen})"
        return None, [Finding(source, error.line, "", seen, "valid TOML", Severity.ERROR)]
    shape = read_shape(values)
    if isinstance(shape, Document):
        faults = [*rules.faults(shape), *plan.faults(shape)]
        return shape, located(faults, values, text, source)
    return None, located(shape, values, text, source)
