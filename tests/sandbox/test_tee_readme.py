"""The README names every failure that can be played, and its library example runs."""

import re
from pathlib import Path

import pytest

from sandbox.faults import VARIANTS
from sandbox.tee.boot import Boot
from sandbox.tee.collateral import Maker
from sandbox.tee.lies import LIES
from sandbox.tee.machine import Machine
from sandbox.tee.settings import Collateral, Dates, EvaluationSet

README = Path(__file__).parents[2].joinpath("packages/sandbox/README.md").read_text("utf-8")
WORDS = set(re.findall(r"`([a-z_]+)`", README))


@pytest.mark.parametrize("service", ["guest", "pccs"])
def test_every_variant_is_described(service):
    assert set(VARIANTS[service]) <= WORDS


def test_the_first_variant_named_is_the_default():
    for service in ("guest", "pccs"):
        row = next(line for line in README.splitlines() if line.startswith(f"| {service} |"))
        last = row.split("|")[3]
        assert re.findall(r"`([a-z_]+)`", last)[0] == VARIANTS[service][0]


@pytest.mark.parametrize("model", [Boot, Collateral, EvaluationSet, Dates])
def test_every_field_that_can_be_changed_is_described(model):
    assert set(model.model_fields) <= WORDS


def test_the_library_example_runs():
    """The block is executed as it stands, with the names that its comments point to."""
    block = README.split("As a library")[1].split("```python\n")[1].split("```")[0]
    names = {"Machine": Machine, "Maker": Maker, "Collateral": Collateral, "LIES": LIES}
    known = {**names, "report_data": bytes(64), "now": 1_790_000_000}
    exec(block, known)  # noqa: S102  # our own README
    assert known["evidence"].quote
    assert "tcb_info" in known["collateral"]
