from pathlib import Path

import pytest

from journal.journals import export, record


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """A sound journal that nobody may alter; copy it."""
    return record(tmp_path_factory.mktemp("original") / "journal.db")


@pytest.fixture(scope="session")
def original_text(original) -> Path:
    return export(original, original.with_name("journal.jsonl"))
