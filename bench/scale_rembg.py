"""`rembg p IN OUT` with a model of fixed cost: run by an interpreter that has rembg.

    python scale_rembg.py '{"source": ..., "dest": ..., "answers": ..., "model": ..., ...}'

rembg itself reads, cuts out and writes; only the network is replaced. Prints what the folder took
as JSON on the last line, imports apart.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAME = "fixed"


def main() -> None:
    ask: dict[str, Any] = json.loads(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parent))
    fakes = importlib.import_module("scale_answers")
    sessions = importlib.import_module("rembg.sessions")
    answers = fakes.Answers(ask["answers"])

    class Fixed(sessions.BaseSession):  # type: ignore[name-defined, misc]
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def predict(self, img: Image.Image, *_: object, **__: object) -> list[Image.Image]:
            mask = answers.mask(np.asarray(img.convert("RGB")), 255.0)
            fakes.compute(ask["model"], ask["seconds"])
            # As its own sessions bring theirs to the picture's size.
            return [Image.fromarray(mask).resize(img.size, Image.Resampling.LANCZOS)]

        @classmethod
        def name(cls, *_: object, **__: object) -> str:
            return NAME

    sessions.sessions[NAME] = Fixed
    sessions.sessions_class.append(Fixed)
    sessions.sessions_names.append(NAME)
    command = importlib.import_module("rembg.commands.p_command").p_command
    colour = ["-bgc", "255", "255", "255", "255"] if ask["white"] else []
    files = sorted(Path(ask["source"]).iterdir())
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    command.main(["-m", NAME, *colour, ask["source"], ask["dest"]], standalone_mode=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    written = [file.stat().st_size for file in Path(ask["dest"]).rglob("*.png")]
    assert len(written) == len(files)
    said = {
        "pictures": len(files),
        "wall": wall,
        "user": after.ru_utime - before.ru_utime,
        "system": after.ru_stime - before.ru_stime,
        "model": ask["seconds"] * len(files),
        "read": sum(file.stat().st_size for file in files),
        "written": sum(written),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
