"""The pack's own pictures, put where Load Image looks, for the templates to start with."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

SAMPLES = Path(__file__).resolve().parent.parent / "web" / "samples"

_log = logging.getLogger("rmbg_nodes")


def put_samples(folder: Path) -> None:
    """Copy the samples into ComfyUI's input folder, but for those that are there already.

    A folder that cannot be written is said in the log: the templates then ask for a picture.
    """
    for sample in sorted(SAMPLES.iterdir()):
        target = folder / sample.name
        if target.exists():
            continue
        try:
            shutil.copyfile(sample, target)
        except OSError as error:
            _log.warning(
                "The sample picture %s could not be put into ComfyUI's input folder (%s). The "
                "templates work with any picture that you choose in Load Image.",
                sample.name,
                error,
            )
