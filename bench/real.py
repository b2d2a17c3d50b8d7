"""How good cut-outs of photographs are, by trained weights: `python bench/real.py --help`.

FOLDER holds images/ and, under the same names, truth/ (the true alpha) and, where the subject's
true colours are known, foreground/ (for the halo). Neither pictures nor weights come with this
repository. Prints the mean over the pictures for the network's own mask and for every way from it
to the picture's size, ours and rembg's, and beside ONNX Runtime's answer where its file is named;
then the same over the pictures of hair, fur and leaves.
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
    add("folder", type=Path, metavar="FOLDER", help="images/, truth/ and perhaps foreground/")
    add("weights", type=Path, metavar="WEIGHTS", help="safetensors, RMBG-1.4's names of tensors")
    add("--onnx", type=Path, metavar="FILE", help="the same network for ONNX Runtime")
    add("--sheet", type=Path, metavar="FILE", help="write a contact sheet, worst first")
    add("--rows", type=int, default=12, metavar="N", help="pictures on the sheet (12)")
    add("--resolution", type=int, default=0, metavar="SIDE", help="of the network, 0 = its own")
    add("--markdown", action="store_true", help="a table for docs/quality.md")
    add("--threads", type=int, default=1, help="of the CPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    importlib.import_module("quality").load_package()
    real = importlib.import_module("rmbg_nodes.bench.real_run")
    tables = importlib.import_module("rmbg_nodes.bench.quality_table")
    with torch.no_grad():
        done = real.run(
            arguments.folder,
            arguments.weights,
            arguments.onnx,
            resolution=arguments.resolution,
            threads=arguments.threads,
            kept=arguments.rows,
            say=lambda name: print(name, file=sys.stderr),
        )
    shown = tables.piped if arguments.markdown else tables.aligned
    print(shown(real.table(done)))
    print(f"\n{real.below(done)}")
    if fine := real.fine_table(done):
        print(f"\n{shown(fine)}")
    if arguments.sheet:
        write = importlib.import_module("rmbg_nodes.pictures.write")
        page = real.sheet(done.worst, len(done.rows[real.OWN_SIZE]))
        write.write_atomic(arguments.sheet, write.encode(page, "jpeg", quality=85))


if __name__ == "__main__":
    main()
