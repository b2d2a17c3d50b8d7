"""Writes what the documentation takes from the code: `python scripts/make_docs.py [--check]`.

`--check` writes nothing and ends with status 1 when a page is out of date. The blocks themselves
are made in tests/support/handbook.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    handbook = importlib.import_module("rmbg_nodes.tests.support.handbook")
    old = []
    for page in handbook.pages():
        text = page.read_text(encoding="utf-8")
        made = handbook.renewed(text)
        if made != text:
            old.append(str(page.relative_to(ROOT)))
            if "--check" not in arguments:
                page.write_text(made, encoding="utf-8", newline="\n")
    words = "out of date" if "--check" in arguments else "renewed"
    sys.stdout.write("".join(f"{name}: {words}\n" for name in old))
    return 1 if old and "--check" in arguments else 0


def load_checkout() -> None:
    """Make `rmbg_nodes` importable from this checkout, whatever its folder is called."""
    spec = importlib.util.spec_from_file_location(
        "rmbg_nodes", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rmbg_nodes"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    load_checkout()
    sys.exit(main(sys.argv[1:]))
