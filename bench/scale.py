"""How fast a catalogue goes, and what a million pictures take: `python bench/scale.py`.

Makes its own pictures and prints Markdown. The model is a fake of fixed cost, the same in all ways;
its sleep stands for a GPU's work. Every run is a process of its own, start-up apart, and the best
of a few rounds in which the ways take turns.

    busy      12-megapixel JPEGs: `batch.run` beside a plain loop and `rembg p` (--rembg-python)
    burn      the same with a model that takes one core
    overhead  small pictures and a model that costs nothing
    memory    many pictures: the first thousand beside the last
    ray       one actor beside two (needs the extra `ray`)
    million   what a million pictures take on other machines, from `busy`
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import tempfile
from pathlib import Path

TABLES = ("busy", "burn", "overhead", "memory", "ray", "million")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("tables", nargs="*", metavar="TABLE", help="which of them (all)")
    add("--size", default="4000x3000", help="WIDTHxHEIGHT of the large pictures (4000x3000)")
    add("--large", type=int, default=40, metavar="N", help="how many large pictures (40)")
    add("--pictures", type=int, default=5000, metavar="N", help="for the memory (5000)")
    add("--rounds", type=int, default=2, metavar="N", help="of which the best counts (2)")
    add("--seconds", type=float, nargs="+", default=[0.3, 1.0], help="of the model (0.3 1.0)")
    add("--outputs", nargs="+", metavar="OUTPUT", help="some of them, by name (all)")
    add("--rembg-python", metavar="PATH", help="an interpreter that has rembg[cpu,cli]")
    arguments = parser.parse_args()
    wanted = arguments.tables or TABLES
    unknown = set(wanted) - set(TABLES)
    if unknown:
        parser.error(f"no table {', '.join(sorted(unknown))}; choose {', '.join(TABLES)}")
    importlib.import_module("quality").load_package()
    tables = importlib.import_module("rmbg_nodes.bench.scale_tables")
    print(f"{os.cpu_count()} processors, {platform.machine()}, load {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory(prefix="rmbg-scale-") as folder:
        names = Path(folder) / "names"
        names.mkdir()
        (names / "rmbg_nodes").symlink_to(Path(__file__).resolve().parent.parent)
        tables.Tables(Path(folder), names, arguments).show(wanted)


if __name__ == "__main__":
    main()
