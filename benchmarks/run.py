"""Run the benchmarks, print what they found, keep it in build/bench.json.

    python benchmarks/run.py [--quick] [--only NAME]

Every `bench_*.py` here has a `NAME` and a `run(quick) -> dict`. In the result, lists of flat rows
are printed as tables, everything else line by line.
"""

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
WIDTH_MIN = 132


def main() -> int:
    """Run what was asked for; 1 if a benchmark could not be run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="short runs, rough numbers")
    parser.add_argument("--only", metavar="NAME", help="one benchmark")
    asked = parser.parse_args()
    console = Console()
    console = Console(width=max(console.width, WIDTH_MIN))
    found = {module.NAME: module for module in _modules()}
    if asked.only is not None and asked.only not in found:
        console.print(f"no benchmark {asked.only!r}; there are: {', '.join(sorted(found))}")
        return 2
    results: dict[str, object] = {"machine": _machine(), "quick": asked.quick}
    for name, module in found.items():
        if asked.only in {None, name}:
            console.rule(name)
            start = time.monotonic()
            results[name] = module.run(asked.quick)
            _show(console, name, results[name])
            console.print(f"[dim]{time.monotonic() - start:.0f} s[/dim]")
    target = HERE.parent / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    console.print(f"written to {target.relative_to(HERE.parent)}")
    return 0


def _modules() -> list[ModuleType]:
    sys.path.insert(0, str(HERE))
    return [importlib.import_module(path.stem) for path in sorted(HERE.glob("bench_*.py"))]


def _machine() -> dict[str, object]:
    return {
        "python": platform.python_version(), "system": platform.platform(terse=True),
        "cores": os.cpu_count(),
    }  # fmt: skip


def _show(console: Console, title: str, result: object) -> None:
    if not isinstance(result, dict):
        console.print(result)
        return
    for key, value in result.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            console.print(_table(f"{title}: {key}", value))
        else:
            console.print(f"{key}: {_text(value)}")


def _table(title: str, rows: list[dict[str, object]]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    return table


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "[red]no[/red]"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return " to ".join(_text(inner) for inner in value) or "none"
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
