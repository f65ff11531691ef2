"""Finds a Chromium for the tests of pages, and gets one if there is none; says which it took.

    the system's (chromium, chrome) -> Debian's package, if we are root -> Playwright's own

There is no way to do without: `BrowserMissing` is an error, and a test that meets it fails. Run as
a program (`python tests/browser/finder.py`) it prepares the browser beside whatever else runs; many
that ask at once wait for the one that installs.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NAMES = (
    "chromium",
    "chromium-headless-shell",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
PACKAGE = "chromium-headless-shell"  # a third of `chromium`: no desktop comes with it
INSTALL_SECONDS = 540.0


class BrowserMissing(Exception):  # noqa: N818 - it says what is the case
    """No browser, and none could be had; the message says what was tried."""


@dataclass(frozen=True)
class Browser:
    """A browser to be started.

    Attributes:
        path: of its program; None for Playwright's own, which Playwright finds by itself.
        source: `system`, `debian` (just installed) or `playwright`.
    """

    path: str | None
    source: str

    def __str__(self) -> str:
        return f"{self.path or 'the browser of Playwright'} ({self.source})"


def find(lock: Path | None = None) -> Browser:
    """A browser that is there, or one that this call installs.

    Args:
        lock: file that keeps two installations apart; one in the system's temporary folder if None.

    Raises:
        BrowserMissing: nothing worked.
    """
    return _of_the_system() or _get_one(lock or _lock_path())


def _lock_path() -> Path:
    return Path(tempfile.gettempdir()) / f"chromium-for-tests.{os.getuid()}.lock"


def _of_the_system() -> Browser | None:
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            return Browser(path, "system")
    return None


def _get_one(lock: Path) -> Browser:
    with _alone(lock):
        found = _of_the_system()  # somebody may have installed it while this waited
        if found is not None:
            return found
        tried = []
        for way in (_by_debian, _by_playwright):
            try:
                return way()
            except (OSError, subprocess.SubprocessError, BrowserMissing) as error:
                tried.append(f"{way.__name__.removeprefix('_by_')}: {_said(error)}")
    raise BrowserMissing(
        f"no browser: none of {', '.join(NAMES)} is on the PATH; " + "; ".join(tried)
    )


def _by_debian() -> Browser:
    if os.geteuid() != 0:
        raise BrowserMissing("apt-get needs root")
    apt = shutil.which("apt-get")
    if apt is None:
        raise BrowserMissing("there is no apt-get")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for verb in (
        ("update",),
        ("install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", PACKAGE),
    ):
        _run([apt, "-qq", *verb], quiet)
    found = _of_the_system()
    if found is None:
        raise BrowserMissing(f"{PACKAGE} is installed, and no browser is on the PATH")
    return Browser(found.path, "debian")


def _by_playwright() -> Browser:
    _run([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ))
    return Browser(None, "playwright")


def _run(command: list[str], environ: dict[str, str]) -> None:
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=INSTALL_SECONDS,
        env=environ,
    )


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _said(error: Exception) -> str:
    """What went wrong, with the last line that a program wrote."""
    output = getattr(error, "stderr", None) or b""
    lines = output.decode(errors="replace").strip().splitlines()
    return f"{error}: {lines[-1]}" if lines else str(error)


def main() -> None:
    """Prepare a browser, and say which and how long it took."""
    begun = time.monotonic()
    try:
        browser = find()
    except BrowserMissing as error:
        sys.exit(str(error))
    print(f"browser: {browser}, {time.monotonic() - begun:.1f} s")  # noqa: T201 - a program's answer


if __name__ == "__main__":
    main()
