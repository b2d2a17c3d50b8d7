"""How much flicker `steady` takes from a video's matte: `python bench/steady.py --help`.

FOLDER holds foreground/ (subjects in their true colours, with alpha), BACKGROUNDS photographs.
Every kind of sequence is drawn from them, every frame goes through the network alone, and the
matte is measured as it is and steadied. Neither pictures nor weights come with this repository.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="its foreground/ holds the subjects")
    add("backgrounds", type=Path, metavar="BACKGROUNDS", help="a folder of photographs")
    add("weights", type=Path, metavar="WEIGHTS", help="safetensors, RMBG-1.4's names of tensors")
    add("kept", type=Path, metavar="KEPT", help="a folder for sequences and mattes, used again")
    add("--seed", type=int, nargs="+", default=[1], metavar="N", help="of the sequences (1)")
    add("--strength", type=float, default=None, metavar="S", help="0..1, the default's otherwise")
    add("--look-ahead", type=int, default=None, metavar="N", help="frames, the default's otherwise")
    add("--markdown", action="store_true", help="a table for docs/quality.md")
    add("--threads", type=int, default=1, help="of the CPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    importlib.import_module("quality").load_package()
    steady = importlib.import_module("rmbg_nodes.bench.steady_run")
    tables = importlib.import_module("rmbg_nodes.bench.quality_table")
    core = importlib.import_module("rmbg_nodes.core.steady")
    chosen = {"strength": arguments.strength, "look_ahead": arguments.look_ahead}
    given = {name: value for name, value in chosen.items() if value is not None}
    with torch.no_grad():
        done = steady.run(
            steady.Sources(arguments.folder, arguments.backgrounds, arguments.weights),
            arguments.kept,
            arguments.seed,
            functools.partial(core.Steady, **given),
            say=lambda name: print(name, file=sys.stderr),
        )
    shown = tables.piped if arguments.markdown else tables.aligned
    print(shown(steady.table(done)))


if __name__ == "__main__":
    main()
