"""`rmbg demo`: pictures made with what this machine has."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..demo.make_demo import run_demo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="DIR", default="demo-output", help="where to write (demo-output)"
    )


def run(arguments: argparse.Namespace) -> int:
    for line in run_demo(Path(arguments.output)):
        print(line, flush=True)
    return 0
