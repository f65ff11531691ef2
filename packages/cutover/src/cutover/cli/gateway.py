"""`cutover gateway`: be a data plane node."""

import typer

from cutover.app import run_gateway
from cutover.cli.options import CONFIG_DEFAULT, Config
from cutover.settings import load_settings


def gateway(*, config: Config = CONFIG_DEFAULT) -> None:
    """Serve clients by the routing tables of the conductor; go on alone when it is away."""
    raise typer.Exit(run_gateway(load_settings(config)))


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(gateway)
