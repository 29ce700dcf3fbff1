"""The command line: one file a verb, heavy imports inside the verb, so that `--help` is instant."""

from wxpipe.cli.app import main

__all__ = ["main"]
