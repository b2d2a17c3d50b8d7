"""`python -m rmbg_nodes ...`, and `python <pack folder> ...` from any folder, uninstalled."""

from __future__ import annotations

import sys


def _main() -> int:
    if __package__:
        from .cli import main

        return main()
    # Run as a folder: Python gave this file no package. Load the folder as one under its own name,
    # because the folder may be called anything.
    import importlib
    import importlib.util
    from pathlib import Path

    root = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        "rmbg_nodes", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{root} cannot be loaded as a package")
    package = importlib.util.module_from_spec(spec)
    sys.modules["rmbg_nodes"] = package
    spec.loader.exec_module(package)
    status = importlib.import_module("rmbg_nodes.cli").main()
    return int(status)


if __name__ == "__main__":
    sys.exit(_main())
