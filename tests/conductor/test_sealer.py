"""An archive is made in a process of its own, which a stop ends."""

import sys
import threading
import zipfile

import pytest

from conductor.theatre import until
from cutover.conductor.sealer import Sealer
from cutover.errors import CutoverError
from cutover.evidence.observation import Adopted, Readiness
from cutover.journal.store import Journal
from cutover.sealing import Order

SECRET = "secret-0123456789"


def order(folder, detail="ok"):
    journal = Journal.open(folder / "journal.db", "run-1")
    told = Adopted("run-1", "x", "digest", {"cutover": "test"})
    journal.append([told, Readiness("phala", 200, True, True, detail)], 0, 0)
    journal.close()
    target = folder / "archive.zip"
    evidence = str(folder / "evidence")
    return Order(str(journal.path), str(target), {"cutover": "test"}, {"key": SECRET}, evidence)


def test_what_stands_in_the_way_of_an_archive_is_told(tmp_path):
    """The words of the process are those of the check; a secret's value is never among them."""
    with pytest.raises(CutoverError, match="contains the secret key") as seen:
        Sealer(lambda: order(tmp_path, f"echo {SECRET}"))()
    assert SECRET not in str(seen.value)
    assert not (tmp_path / "archive.zip").exists()


def test_an_archive_is_written_and_verified(tmp_path):
    """This journal's digest of the runbook is false: written, and found not to verify."""
    with pytest.raises(CutoverError, match=r"does not verify: runbook\.toml"):
        Sealer(lambda: order(tmp_path))()
    with zipfile.ZipFile(tmp_path / "archive.zip") as made:
        assert "journal.jsonl" in made.namelist()


@pytest.mark.parametrize("code", ["raise SystemExit('no memory')", "print('{')", "pass"])
def test_a_process_that_dies_is_no_archive(tmp_path, code):
    """Without its answer nothing was made, whatever it exits with."""
    with pytest.raises(CutoverError, match="sealing ended with"):
        Sealer(lambda: order(tmp_path), (sys.executable, "-c", code))()


def test_a_stop_ends_it_at_once_and_for_good(tmp_path):
    """The thread that waits comes back, and nothing is started any more."""
    sleeper = (sys.executable, "-c", "import time; time.sleep(30)")
    sealer, told = Sealer(lambda: order(tmp_path), sleeper), []

    def wait():
        try:
            sealer()
        except CutoverError as error:
            told.append(str(error))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    until("the process", lambda: sealer._child is not None)
    sealer.close()
    thread.join(10)
    assert told
    assert told[0].startswith("sealing ended with -15")
    with pytest.raises(CutoverError, match="the conductor stops"):
        sealer()
