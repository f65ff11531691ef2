"""Every file in `tests/scenarios` holds."""

from pathlib import Path

import pytest

from decision.scenario import SCENARIOS, load, run_scenario

FILES = sorted(SCENARIOS.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """What the file says is true of the pure core."""
    run_scenario(path)


def test_every_scenario_says_one_thing_of_its_own() -> None:
    """No two files make the same statement, and there are enough of them."""
    said = [load(path)["says"] for path in FILES]
    assert len(set(said)) == len(said)
    assert len(said) >= 60
