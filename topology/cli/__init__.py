"""The command line `pks`: a contract (names, fields, exit codes), and the place where errors become words."""

from topology.cli.application import main

__all__ = ["main"]
