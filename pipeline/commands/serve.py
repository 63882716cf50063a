"""Offer the whole build as a Prefect deployment, `build/build`, until stopped; trigger it from the UI or the shell."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take nothing."""


def run(_arguments: argparse.Namespace) -> int:
    """Serve the flow on the project's server, or on a new one for this time."""
    from pipeline.commands.build import build
    from pipeline.orchestration import serve, server

    with server() as address:
        trigger = f"PREFECT_API_URL={address} prefect deployment run build/build"
        print(f"Prefect at {address}; trigger with: {trigger}", flush=True)
        serve(build)
    return 0
