"""Every file in `tests/scenarios` holds."""

from collections import Counter
from pathlib import Path

import pytest

from cutover.simulator.conformance import judge, read

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "tests" / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """What the file says is true of the pure core."""
    result = judge(path, ROOT / "runbooks")
    assert result.holds, str(result)


def test_every_scenario_says_one_thing_of_its_own() -> None:
    """No two files make the same statement, and there are enough of them."""
    said = Counter(read(path).says for path in FILES)
    assert [text for text, n in said.items() if n > 1] == []
    assert len(said) >= 160
