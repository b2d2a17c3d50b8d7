"""What a rough mask of the subject is worth: `python bench/subject.py FOLDER ...`.

Each FOLDER holds images/ and, under the same names, truth/ (the true alpha) and, where the last
table is wanted, masks/ (what a network answered, as bench/doubt.py keeps it). Rough masks are made
of the truth: in blocks, and moved, grown or shrunk by 4 to 16 pixels. Prints how far they are off
before and after they are fitted to the picture, and the network's mask without and with the rough
one to say which subject is meant. Pictures do not come with this repository.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folders", nargs="+", type=Path, metavar="FOLDER", help="images/, truth/, perhaps masks/")
    add("--reach", type=float, default=16, metavar="PIXELS", help="as on the node (16)")
    add("--markdown", action="store_true", help="tables for docs/quality.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    importlib.import_module("quality").load_package()
    run = importlib.import_module("rmbg_nodes.bench.subject_run")
    tables = importlib.import_module("rmbg_nodes.bench.quality_table")
    write = tables.piped if arguments.markdown else tables.aligned
    with torch.no_grad():
        done = run.run(arguments.folders, arguments.reach)
    print(write(run.fitted_table(done)))
    if done.kept:
        print(f"\n{write(run.kept_table(done))}")
    print(f"\n{run.below(done)}")


if __name__ == "__main__":
    main()
