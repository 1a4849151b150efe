"""`pks pricing-engine`: requests of `pks price` over gRPC, until SIGTERM."""

import os
from typing import Annotated, Any

import typer

from topology.cli.options import JsonOption, load_settings
from topology.cli.output import EXIT_FAILURE, CommandError, print_facts, print_json


def pricing_engine(
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port (or PKS_PRICING_PORT); 0 takes a free one. [default: 50051]"
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=0, max=256, help="Pricing processes (or PKS_PRICING_PROCESSES); 0 is one for each processor."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Serve requests of `pks price` over gRPC, print the addresses, and run until SIGTERM."""
    # Read when gRPC is loaded: without it each start of a pricing process has a line in the log about nothing.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from services.pricing.server import EngineError, EngineSettings, run_engine
    from topology.logging import configure_logging

    settings = load_settings(pricing_port=port, pricing_processes=processes)
    configure_logging(settings)

    def ready(addresses: dict[str, Any]) -> None:
        if as_json:
            print_json(addresses)
            return
        print_facts(
            {
                "pricing engine": f"{addresses['engine']}, {'TLS' if addresses['tls'] else 'no TLS'}",
                "process": addresses["process"],
                "pricing processes": settings.pricing_processes or "one for each processor",
                "metrics": addresses["metrics"] or "off",
                "stop": "Ctrl-C, or SIGTERM",
            }
        )

    try:
        return run_engine(
            EngineSettings(
                host=settings.pricing_host,
                port=settings.pricing_port,
                processes=settings.pricing_processes,
                waiting_max=settings.pricing_waiting_max,
                request_seconds_max=settings.pricing_request_seconds_max,
                metrics_port=settings.pricing_metrics_port,
                certificate_file=settings.pricing_certificate_file,
                key_file=settings.pricing_key_file,
                client_authority_file=settings.pricing_client_authority_file,
            ),
            ready,
        )
    except EngineError as error:
        raise CommandError(str(error), exit_code=EXIT_FAILURE) from error


def register(application: typer.Typer) -> None:
    """Add the command."""
    application.command("pricing-engine")(pricing_engine)
