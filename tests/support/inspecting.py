"""`rmbg inspect` without the program around it."""

from __future__ import annotations

import argparse

from rmbg_nodes.commands import inspect


def inspected(*arguments: str) -> int:
    """Its exit status."""
    parser = argparse.ArgumentParser()
    inspect.add_arguments(parser)
    return inspect.run(parser.parse_args(arguments))
