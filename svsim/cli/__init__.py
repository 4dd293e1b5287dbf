"""The `svsim` command: one file a subcommand, each a thin shell over the package."""

from svsim.cli.main import main

__all__ = ["main"]
