"""How good the keyer is before green and blue screens: `python bench/screens.py --help`.

With a FOLDER whose foreground/ holds pictures with alpha, these are set before screens; without,
rendered scenes are. Prints the mean over each screen's pictures, the seconds for one of them, and
with --steady how much a still subject's alpha moves while the light on the screen changes.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folder", type=Path, nargs="?", metavar="FOLDER", help="with foreground/; else rendered")
    add("--side", type=int, default=640, metavar="PIXELS", help="of the pictures (640)")
    add("--seeds", type=int, default=3, metavar="N", help="rendered scenes of each kind (3)")
    add("--steady", action="store_true", help="frames under changing light, too")
    add("--markdown", action="store_true", help="tables for docs/quality.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    importlib.import_module("quality").load_package()
    run = importlib.import_module("rmbg_nodes.bench.screen_run")
    tables = importlib.import_module("rmbg_nodes.bench.quality_table")
    shown = tables.piped if arguments.markdown else tables.aligned
    seeds = list(range(10, 10 + arguments.seeds))
    scenes = (
        run.photographed(arguments.folder, arguments.side)
        if arguments.folder
        else run.rendered(seeds, (arguments.side * 3 // 4, arguments.side))
    )
    print(shown(run.table(scenes)))
    if arguments.steady:
        steady = importlib.import_module("rmbg_nodes.bench.screen_frames")
        print(f"\n{shown(steady.table(seeds))}")


if __name__ == "__main__":
    main()
