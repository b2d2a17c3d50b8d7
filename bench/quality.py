"""How good edges are, beside other packages: `python bench/quality.py --help`.

Prints, for every bar, what must be reached, ours, and what other packages' ways measure on the same
scenes. Scenes with other seeds than those that the constants of core/ were chosen on (0 and 1) are
the default. B9, the keyer, is measured by the tests.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="scenes of each kind (3)")
    parser.add_argument("--first-seed", type=int, default=10, metavar="N", help="default 10")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet")
    parser.add_argument("--peers", type=Path, metavar="FILE", help="write the peers side by side")
    parser.add_argument("--markdown", action="store_true", help="tables for docs/quality.md")
    parser.add_argument("--only-pictures", action="store_true", help="measure nothing")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    load_package()
    seeds = list(range(arguments.first_seed, arguments.first_seed + arguments.seeds))
    if not arguments.only_pictures:
        measure = importlib.import_module("rmbg_nodes.bench.quality_measure").measure
        exact = importlib.import_module("rmbg_nodes.bench.quality_exact").measure_exact
        table = importlib.import_module("rmbg_nodes.bench.quality_table")
        bars = [*measure(seeds, lambda words: print(words, file=sys.stderr)), *exact(seeds)]
        print(table.markdown(bars) if arguments.markdown else table.text(bars))
    sheet = importlib.import_module("rmbg_nodes.bench.quality_sheet")
    if arguments.sheet:
        sheet.edges(seeds[0]).save(arguments.sheet, quality=80)
    if arguments.peers:
        sheet.peers(seeds[0]).save(arguments.peers, quality=80)


def load_package() -> None:
    """Load the checkout as `rmbg_nodes`, whatever its folder is called, with nothing installed."""
    spec = importlib.util.spec_from_file_location(
        "rmbg_nodes", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rmbg_nodes"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()
