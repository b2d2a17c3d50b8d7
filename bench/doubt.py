"""How well doubt finds the wrong masks: `python bench/doubt.py FOLDER ... [--weights FILE]`.

Each FOLDER holds images/ and, under the same names, truth/ (the true alpha) and masks/ (what a
network answered: NAME.npy, alpha (h, w) in 0..1). With --weights masks that are missing are made by
that file, in RMBG-1.4's names of tensors, and kept. Neither pictures nor weights come with this
repository. Prints every picture, the most doubtful first, then how many of the worst masks stand
among the first, and how often a mask of so much doubt is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folders", nargs="+", type=Path, metavar="FOLDER", help="images/, truth/, masks/")
    add("--weights", type=Path, metavar="FILE", help="make masks that are missing")
    add("--alone", action="store_true", help="judge masks without their pictures")
    add("--markdown", action="store_true", help="the tables of docs/quality.md alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    importlib.import_module("quality").load_package()
    doubts = importlib.import_module("rmbg_nodes.bench.doubt_run")
    tables = importlib.import_module("rmbg_nodes.bench.quality_table")
    write = tables.piped if arguments.markdown else tables.aligned
    with torch.no_grad():
        if arguments.weights:
            for folder in arguments.folders:
                doubts.make_masks(
                    folder, arguments.weights, lambda name: print(name, file=sys.stderr)
                )
        sets = {
            folder.name: doubts.ranked(folder, alone=arguments.alone)
            for folder in arguments.folders
        }
    if not arguments.markdown:
        for name, ranked in sets.items():
            print(f"{name}\n{write(doubts.ranking(ranked))}\n")
    print(write(doubts.found(sets)))
    print(f"\n{write(doubts.calibration(sets))}")
    print(f"\n{doubts.below(sets)}")


if __name__ == "__main__":
    main()
