"""The CLI in this process, as `cutover` would run it."""

import sys

from cutover.cli.main import main


class Said:
    """What a verb left behind."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def all(self):
        return self.out + self.err


def verbs():
    """Every verb with its words, from the program itself."""
    import typer

    from cutover.cli.main import app

    def walk(command, words):
        for name, one in getattr(command, "commands", {}).items():
            yield (*words, name)
            yield from walk(one, (*words, name))

    return sorted(walk(typer.main.get_command(app), ()))


def hand(monkeypatch, capsys, *words, data=None, cwd=None, **environment):
    """Run `cutover WORDS`."""
    monkeypatch.setattr(sys, "argv", ["cutover", *map(str, words)])
    for name, value in {"COLUMNS": "200", "CUTOVER_ACTOR": "ann", **environment}.items():
        monkeypatch.setenv(name, value)
    if data is not None:
        monkeypatch.setenv("CUTOVER_DATA", str(data))
    if cwd is not None:
        monkeypatch.chdir(cwd)
    capsys.readouterr()
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    out, err = capsys.readouterr()
    return Said(code, out, err)
