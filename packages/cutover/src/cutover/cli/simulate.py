"""`cutover simulate`: play a runbook in virtual time, once or thousands of times."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from cutover.cli.options import Json, RunbookFile
from cutover.cli.output import err, fail, grid, say, show_json
from cutover.decision.words import span

if TYPE_CHECKING:
    from cutover.simulator.faults import Schedule
    from cutover.simulator.play import Verdict
    from cutover.simulator.swarm import Job, Tally

TOLD_EVERY = 25
HEALTHY, RANDOM = "none", "random"


def simulate(
    runbook: RunbookFile,
    *,
    seed: Annotated[int, typer.Option(help="First seed; the same seed gives the same trace.")] = 0,
    runs: Annotated[int, typer.Option(min=1, help="How many seeds, from the first on.")] = 1,
    faults: Annotated[
        str,
        typer.Option(help="A file of faults; `random` for those of the seed, `none` for none."),
    ] = RANDOM,
    until: Annotated[
        str, typer.Option(help="End early, at this stage or phase, such as `mixed`.")
    ] = "",
    trace: Annotated[
        Path | None, typer.Option(help="Write what happened, line by line; one run only.")
    ] = None,
    nodes: Annotated[
        int, typer.Option(min=0, max=2, help="Gateway nodes; 0 lets the seed choose.")
    ] = 0,
    horizon: Annotated[
        str, typer.Option(help="Random faults begin before this simulated time.")
    ] = "40s",
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 for one a core.")] = 0,
    shrink: Annotated[
        bool, typer.Option(help="Reduce the first failure to the faults that it needs.")
    ] = True,
    json: Json = False,
) -> None:
    """Play a runbook with the real conductor and gateway, in virtual time, under seeded faults.

    While faults happen, no line of the design may be crossed; once they have stopped, the run must
    come to an end that the runbook knows. A failing seed is printed with the smallest schedule of
    faults that still fails, as a file for `--faults`. Nothing outside this process is touched.

    A runbook that looks at `/ready` every 5 s or more seldom is one for days. It is played with a
    client's request a minute and a node's report each 10 s instead of several a second, and the
    conductor asks the planes at its own port instead of in bytes of HTTP; nothing else is left
    out. Where a single run is goes to stderr, with the simulated time.
    """
    from cutover.runbook.units import parse_duration  # noqa: PLC0415 - only this verb needs it
    from cutover.simulator.swarm import Job  # noqa: PLC0415 - a second that only this verb needs

    if trace is not None and runs > 1:
        fail("--trace writes one run: leave out --runs", 2)
    schedule, own_seed = _schedule(faults)
    try:
        horizon_ms = parse_duration(horizon)
    except ValueError as error:
        fail(f"--horizon: {error}", 2)
    job = Job(_read(runbook), str(runbook), horizon_ms, schedule, nodes, until)
    _check(job)
    first = own_seed if own_seed is not None and seed == 0 else seed
    if runs == 1:
        _one(job, first, trace, shrink=shrink, json=json)
    else:
        _many(job, range(first, first + runs), jobs or os.cpu_count() or 1, shrink, json)


def _one(job: "Job", seed: int, trace: Path | None, *, shrink: bool, json: bool) -> None:
    from cutover.runbook.load import load_text  # noqa: PLC0415 - as above
    from cutover.simulator.play import simulate as play  # noqa: PLC0415 - as above

    loaded = load_text(job.text, job.source)
    schedule = job.faults(seed, loaded)
    with _opened(trace) if trace is not None else nullcontext() as output:
        verdict = play(
            loaded,
            seed,
            schedule,
            habits=job.habits(seed),
            output=output,
            until=job.until,
            told=_where,
        )
    least = _least(job, verdict) if verdict.line and shrink else ""
    if json:
        show_json({"verdict": verdict, "faults": [str(f) for f in schedule], "smallest": least})
    else:
        for fault in schedule:
            say(f"fault {fault}")
        _tell(verdict, least)
    raise typer.Exit(1 if verdict.line else 0)


def _where(now_ms: int, where: str) -> None:
    err.print(f"{span(now_ms)}: {where}")


def _many(job: "Job", seeds: range, jobs: int, shrink: bool, json: bool) -> None:
    from cutover.simulator.swarm import swarm  # noqa: PLC0415 - as above

    tally = swarm(job, seeds, jobs, _progress(len(seeds)))
    least = _least(job, tally.failed[0]) if tally.failed and shrink else ""
    if json:
        show_json({"tally": tally, "smallest": least})
    else:
        _report(tally, least)
    raise typer.Exit(1 if tally.failed else 0)


def _progress(total: int) -> Any:
    def told(tally: "Tally") -> None:
        if tally.runs % TOLD_EVERY == 0 or tally.runs == total:
            err.print(f"{tally.runs} of {total} seeds, {len(tally.failed)} failed")

    return told


def _report(tally: "Tally", least: str) -> None:
    hours = tally.simulated_ms / 3_600_000
    say(
        f"{tally.runs} simulations, {hours:.1f} h of simulated time, {tally.requests} requests of "
        f"clients, {tally.excused} of them cost their answer by a fault that may"
    )
    grid("ended", ["phase", "runs"], [[name, str(n)] for name, n in tally.phases.items()])
    grid("faults", ["what", "times"], [[name, str(n)] for name, n in tally.faults.items()])
    if not tally.failed:
        say("no line was crossed, and every run came to an end")
    for verdict in tally.failed:
        say(f"seed {verdict.seed}: line {verdict.line}: {verdict.text}")
    if least:
        say(f"smallest schedule for seed {tally.failed[0].seed}:\n{least}")


def _tell(verdict: "Verdict", least: str) -> None:
    say(
        f"seed {verdict.seed}: {verdict.phase} after {verdict.simulated_ms / 1000:.1f} s, "
        f"{verdict.entries} entries, {verdict.requests} requests ({verdict.excused} lost to "
        f"faults), trace {verdict.digest}"
    )
    if verdict.line:
        for line in verdict.last:
            say(f"  {line[:200]}")
        say(f"line {verdict.line} was crossed: {verdict.text}")
    if least:
        say(f"smallest schedule:\n{least}")


def _least(job: "Job", verdict: "Verdict") -> str:
    from cutover.simulator.swarm import shrunk  # noqa: PLC0415 - as above

    err.print(f"seed {verdict.seed} failed; looking for the smallest schedule that still fails")
    return shrunk(job, verdict)


def _schedule(faults: str) -> "tuple[Schedule | None, int | None]":
    from cutover.simulator.faults import read  # noqa: PLC0415 - as above

    if faults == RANDOM:
        return None, None
    if faults == HEALTHY:
        return (), None
    return read(_read(Path(faults)), faults)


def _check(job: "Job") -> None:
    """Refuse a runbook, a stage or a fault that cannot be played, before anything is."""
    from cutover.decision.run import Phase  # noqa: PLC0415 - as above
    from cutover.runbook.load import load_text  # noqa: PLC0415 - as above
    from cutover.simulator.faults import check_planes  # noqa: PLC0415 - as above

    loaded = load_text(job.text, job.source)
    known = [*(stage.name for stage in loaded.stages), *Phase]
    if job.until and job.until not in known:
        fail(f"--until {job.until!r}, expected one of {', '.join(known)}", 2)
    check_planes(job.schedule or (), loaded.planes, loaded.candidate)


def _opened(trace: Path) -> IO[bytes]:
    try:
        return trace.open("wb")
    except OSError as error:
        fail(f"--trace {trace} cannot be written: {error}", 2)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {error}", 2)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(simulate)
