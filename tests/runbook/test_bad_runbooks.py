"""Each file in `bad/` has the fault of its name, and its first lines say what lint must answer.

`# expect: line L | where | part of what was seen | part of what is expected`, one line per finding.
"""

from pathlib import Path

import pytest

from cutover.errors import ConfigurationError
from cutover.runbook.finding import RunbookError, Severity
from cutover.runbook.load import lint_text, load_text

BAD = sorted((Path(__file__).parent / "bad").glob("*.toml"))
PREFIX = "# expect: line "


def expectations(text):
    heads = [line.removeprefix(PREFIX) for line in text.splitlines() if line.startswith(PREFIX)]
    return [[part.strip() for part in head.split(" | ")] for head in heads]


def answers(finding, expectation):
    line, where, seen, expected = expectation
    return (
        finding.line == int(line)
        and finding.where == where
        and seen in finding.seen
        and expected in finding.expected
    )


def test_there_are_bad_runbooks_to_judge():
    """An empty folder would let every test below pass."""
    assert len(BAD) >= 25


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_lint_names_the_fault_its_line_and_what_is_expected(path):
    """Lint answers with the expected findings, and with no other error."""
    text = path.read_text()
    wanted = expectations(text)
    found = lint_text(text, path.name)
    assert wanted, f"{path.name} says nothing about what it expects"
    for expectation in wanted:
        assert any(answers(finding, expectation) for finding in found), (expectation, found)
    assert len(found) == len(wanted), [str(finding) for finding in found]
    assert all(finding.severity is Severity.ERROR for finding in found)
    assert all(finding.file == path.name for finding in found)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_load_refuses_what_lint_calls_an_error(path):
    """The loader raises with the very findings of lint, and its message shows all of them."""
    text = path.read_text()
    with pytest.raises(RunbookError) as caught:
        load_text(text, path.name)
    assert list(caught.value.findings) == lint_text(text, path.name)
    for finding in caught.value.findings:
        assert f"{path.name}:{finding.line}: error:" in str(caught.value)
        assert f"saw {finding.seen}; expected {finding.expected}" in str(caught.value)
    assert "nothing was started" in str(caught.value)


def test_a_runbook_that_cannot_be_used_is_a_configuration_error():
    """The CLI exits as for every unusable file."""
    assert issubclass(RunbookError, ConfigurationError)
    assert RunbookError.exit_code == 2
