"""Finding a browser: the system's first, one installation at a time, and never none in silence."""

import subprocess
import threading

import pytest

from browser import finder


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine without a browser, whose programs a test plays; returns what was run."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    ran = []

    def program(name):
        path = programs / name
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)

    def play(command, _environ):
        ran.append(command[1:])
        if finder.PACKAGE in command:
            program(finder.PACKAGE)

    monkeypatch.setattr(finder, "_run", play)
    monkeypatch.setattr(finder.os, "geteuid", lambda: 0)
    play.program, play.ran, play.lock = program, ran, tmp_path / "lock"
    return play


def test_a_browser_of_the_system_is_taken_and_nothing_is_installed(bare):
    bare.program("google-chrome")
    found = finder.find(bare.lock)
    assert (found.source, bare.ran) == ("system", [])
    assert str(found).endswith("google-chrome (system)")


def test_root_installs_debians_once_however_many_ask(bare):
    bare.program("apt-get")
    found = []
    asking = [threading.Thread(target=lambda: found.append(finder.find(bare.lock))) for _ in "1234"]
    for one in asking:
        one.start()
    for one in asking:
        one.join(10)
    assert sorted(one.source for one in found) == ["debian", "system", "system", "system"]
    assert [command[1] for command in bare.ran] == ["update", "install"]


def test_who_is_not_root_gets_playwrights(bare, monkeypatch):
    bare.program("apt-get")
    monkeypatch.setattr(finder.os, "geteuid", lambda: 1000)
    found = finder.find(bare.lock)
    assert (found.source, found.path) == ("playwright", None)
    assert bare.ran == [["-m", "playwright", "install", "chromium"]]


def test_no_browser_is_an_error_that_says_what_was_tried(bare, monkeypatch):
    def fails(command, _environ):
        raise subprocess.CalledProcessError(100, command, stderr=b"first\nE: no network\n")

    bare.program("apt-get")
    monkeypatch.setattr(finder, "_run", fails)
    with pytest.raises(finder.BrowserMissing, match=r"debian: .*no network; playwright: .*no net"):
        finder.find(bare.lock)
    monkeypatch.setattr(finder, "_lock_path", lambda: bare.lock)
    with pytest.raises(SystemExit, match="no browser: none of chromium"):
        finder.main()
