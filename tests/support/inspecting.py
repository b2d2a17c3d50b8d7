"""`rmbg inspect` without the program around it."""

from __future__ import annotations

import argparse

from rmbg_nodes.cli import inspect_command


def inspected(*arguments: str) -> int:
    """Its exit status."""
    parser = argparse.ArgumentParser()
    inspect_command.add_arguments(parser)
    return inspect_command.run(parser.parse_args(arguments))
