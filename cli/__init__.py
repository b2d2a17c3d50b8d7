"""`rmbg`: the command line. Exit status 0: all done; 1: some pictures failed; 2: refused."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from ..core.errors import Cancelled, PictureError, Refusal
from ..version import __version__
from .terminal import harmless, say

#: Command -> (module in this folder, one line of help). A module is imported when it is used.
COMMANDS = {
    "remove": "cut the subject out of pictures",
    "video": "cut the subject out of videos, taken up again where it stopped",
    "batch": "cut out whole folders or a manifest, taken up again where it stopped",
    "mask": "correct a mask, and cut a picture out with it",
    "composite": "put a cut-out on a colour or on another picture",
    "backends": "list what can remove backgrounds, with licence and price",
    "keys": "store, list or remove the keys of hosted providers",
    "pending": "list paid jobs whose result has not been fetched, or may have been billed",
    "resume": "fetch the results of paid jobs that are still to be had",
    "cache": "say how much paid results take on disk, or clear them",
    "weights": "list, fetch, verify, convert or export the files of local models",
    "evaluate": "measure how close masks are to the true ones",
    "doctor": "report what this machine has and what works on it, to be pasted",
    "costs": "compare what N pictures cost with each provider, and say what was spent",
    "receipts": "list, show, export, verify or sum up what was done under which licence",
    "config": "show, check or write the settings, and say where each comes from",
    "review": "put the doubtful cut-outs of a run on one sheet, the worst first",
    "inspect": "say what a picture says of itself, and whether a receipt matches it",
    "licences": "list the licences, or the attribution lines",
    "demo": "make pictures with what this machine has, and say how good they are",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    with harmless():
        return _settled(list(sys.argv[1:] if argv is None else argv), own_process=argv is None)


def _settled(given: list[str], *, own_process: bool) -> int:
    """Return the exit status, also of what was refused or stopped, and say why on stderr."""
    try:
        return _run(given, own_process=own_process)
    except (Refusal, PictureError) as error:
        say(str(error))
        return 2 if isinstance(error, Refusal) else 1
    except (Cancelled, KeyboardInterrupt):
        say("stopped. What was written is whole.")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`rmbg backends | head`); nothing can be said to it.
        return 1
    except OSError as error:  # of folders, devices and libraries that every picture needs
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}{error.strerror or error}. Nothing more was done.")
        return 2


def _run(given: list[str], *, own_process: bool) -> int:
    """Parse and run. own_process: nothing else goes on in this process."""
    parser = argparse.ArgumentParser(
        prog="rmbg", description="Background removal with BRIA RMBG, on this machine or licensed."
    )
    parser.add_argument("--version", action="version", version=f"rmbg-nodes {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in given if not word.startswith("-")), "")
    for name, words in COMMANDS.items():
        command = commands.add_parser(name, help=words, description=f"{words.capitalize()}.")
        if name == chosen:
            _module(name, "add_arguments")(command)
    arguments = parser.parse_args(given)
    arguments.own_process = own_process
    return int(cast("int", _module(arguments.command, "run")(arguments)))


def _module(command: str, function: str) -> Callable[[object], object]:
    module = import_module(f".{command}_command", __package__)
    return cast("Callable[[object], object]", getattr(module, function))
