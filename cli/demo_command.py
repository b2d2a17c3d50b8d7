"""`rmbg demo`: pictures made with what this machine has."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..demo.make_demo import run_demo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="DIR", default="demo-output", help="where to write (demo-output)"
    )
    parser.add_argument(
        "--backend",
        metavar="ID",
        help="what cuts out the photographs (the first local model whose weights are here)",
    )


def run(arguments: argparse.Namespace) -> int:
    for line in run_demo(Path(arguments.output), arguments.backend):
        print(line, flush=True)
    return 0
