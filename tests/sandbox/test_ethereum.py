"""Importing the stand-ins changes nothing for the process they run in."""

import subprocess
import sys


def test_the_recursion_limit_stays_what_it_was():
    """A library that raises it would turn nested JSON into a crash."""
    code = (
        "import sys; before = sys.getrecursionlimit(); import sandbox.ethereum; "
        "sys.exit(sys.getrecursionlimit() != before)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
