"""`cutover gateway`: be a data plane node."""

import typer

from cutover.cli.options import CONFIG_DEFAULT, Config


def gateway(*, config: Config = CONFIG_DEFAULT) -> None:
    """Serve clients by the routing tables of the conductor; go on alone when it is away."""
    from cutover.app import run_gateway  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.cli.log import speak  # noqa: PLC0415 - half a second that only this verb needs
    from cutover.settings import load_settings  # noqa: PLC0415 - half a second that only this verb needs

    speak()
    raise typer.Exit(run_gateway(load_settings(config)))


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(gateway)
