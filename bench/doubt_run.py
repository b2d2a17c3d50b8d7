"""Masks with their truth, ranked by doubt."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from ..cli.evaluate_command import mask_of
from ..cli.pairs import Pair, make_pairs
from ..core.doubt import Doubt, doubt_of
from ..core.errors import BadPicture
from ..core.finish import to_size
from ..core.inspect import quality_flags
from ..core.metrics import iou
from ..core.specs import OptionValue
from ..core.types import Frame, Job, Matte
from ..pictures.read import read_picture
from ..pipeline.gate import open_backend

#: A mask that overlaps less than this with the truth is wrong.
WRONG = 0.9
#: Of forty, so many are the worst, and so many are looked at.
WORST, LOOKED_AT, OF = 10, 15, 40
_STEPS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Judged:
    """One mask."""

    name: str
    iou: float
    """With the truth, at the picture's size."""
    doubt: float
    signs: Doubt
    seconds: float
    """Of one CPU that judging took."""


def make_masks(folder: Path, weights: Path, say: Callable[[str], None]) -> None:
    """Answer FOLDER/images that have no FOLDER/masks yet. say: is told the name of each."""
    options: dict[str, OptionValue] = {"weights": str(weights), "precision": "float32"}
    (folder / "masks").mkdir(exist_ok=True)
    backend = open_backend("local/rmbg-1.4", usage="non-commercial", options=options)
    try:
        for path in sorted((folder / "images").iterdir()):
            kept = folder / "masks" / f"{path.stem}.npy"
            if kept.exists():
                continue
            say(path.name)
            pixels = read_picture(path, name=str(path)).pixels.float()
            (outcome,) = backend.run([Frame(0, pixels, path.name)], Job())
            if outcome.error is not None:
                raise outcome.error
            np.save(kept, cast("Matte", outcome.result).values.cpu().numpy())
    finally:
        backend.close()


def ranked(folder: Path, *, alone: bool) -> list[Judged]:
    """Judge every picture of a folder, the most doubtful first. alone: without the picture.
    Raises BadPicture where a picture or its mask is missing."""
    pairs = make_pairs(str(folder / "images"), str(folder / "truth"))
    judged = [_judged(pair, folder / "masks", alone=alone) for pair in pairs]
    return sorted(judged, key=lambda one: -one.doubt)


def ranking(judged: Sequence[Judged]) -> list[list[str]]:
    """One row for each, in this order."""
    order = sorted(judged, key=lambda one: one.iou)
    worst = {one.name for one in order[: _share(judged, WORST)]}
    rows = [["rank", "picture", "doubt", "IoU", *judged[0].signs.data(), "one of the worst"]]
    for place, one in enumerate(judged, 1):
        signs = (("" if sign is None else f"{sign:.3f}") for sign in one.signs.data().values())
        mark = "yes" if one.name in worst else ""
        rows.append([f"{place}", one.name, f"{one.doubt:.2f}", f"{one.iou:.3f}", *signs, mark])
    return rows


def found(sets: Mapping[str, Sequence[Judged]]) -> list[list[str]]:
    """How many of the worst stand among the most doubtful, for each set."""
    rows = [["set", "pictures", "the worst", "looked at", "found", "by chance", "AUC"]]
    for name, judged in sets.items():
        worst = sorted(judged, key=lambda one: one.iou)[: _share(judged, WORST)]
        looked_at = judged[: _share(judged, LOOKED_AT)]
        both = sum(one in looked_at for one in worst)
        chance = len(worst) * len(looked_at) / len(judged)
        counts = (len(judged), len(worst), len(looked_at), both)
        rows.append([name, *map(str, counts), f"{chance:.1f}", f"{_auc(judged):.2f}"])
    return rows


def calibration(sets: Mapping[str, Sequence[Judged]]) -> list[list[str]]:
    """How often masks of so much doubt are wrong, over all sets."""
    everything = [one for judged in sets.values() for one in judged]
    rows = [["doubt", "masks", "mean doubt", f"IoU below {WRONG}", "median IoU"]]
    for low, high in zip(_STEPS, _STEPS[1:], strict=False):
        # The last step has its end, too: an empty mask is doubted by 1.
        some = [one for one in everything if low <= one.doubt < high or one.doubt == high == 1]
        if some:
            doubt = np.mean([one.doubt for one in some])
            wrong = np.mean([one.iou < WRONG for one in some])
            median = np.median([one.iou for one in some])
            cells = (f"{len(some)}", f"{doubt:.2f}", f"{wrong:.2f}", f"{median:.3f}")
            rows.append([f"{low:.2f} to {high:.2f}", *cells])
    return rows


def below(sets: Mapping[str, Sequence[Judged]]) -> str:
    """What is said under the tables."""
    seconds = [one.seconds for judged in sets.values() for one in judged]
    return f"{len(seconds)} masks; judging one takes {np.median(seconds):.3f} CPU-seconds (median)."


def _judged(pair: Pair, masks: Path, *, alone: bool) -> Judged:
    mask = masks / f"{pair.truth.stem}.npy"
    if pair.prediction is None or not mask.exists():
        raise BadPicture(f"{pair.name}: its picture or {mask} is missing.")
    pixels = read_picture(pair.prediction, name=pair.name).pixels.float()
    truth = mask_of(read_picture(pair.truth, name=pair.name)).float()
    alpha = torch.from_numpy(np.load(mask)).float()
    began = time.process_time()
    signs = doubt_of(alpha, None if alone else pixels)
    seconds = time.process_time() - began
    (full,) = to_size(alpha[None], "alpha", *truth.shape)
    doubt = quality_flags(full, signs).doubt
    return Judged(pair.name, iou(full, truth), doubt, signs, seconds)


def _share(judged: Sequence[Judged], of_forty: int) -> int:
    return max(1, round(len(judged) * of_forty / OF))


def _auc(judged: Sequence[Judged]) -> float:
    """The chance that a wrong mask is doubted more than one that is right."""
    wrong = np.array([one.doubt for one in judged if one.iou < WRONG])
    right = np.array([one.doubt for one in judged if one.iou >= WRONG])
    if not len(wrong) or not len(right):
        return float("nan")
    return float(np.mean(np.sign(wrong[:, None] - right[None]) / 2 + 0.5))
