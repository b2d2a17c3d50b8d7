"""Which patch order BiRefNet weights of a user's own need: nothing in a file tells, so both are
tried, once for a file, and what the masks show decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from torch import Tensor
from torch.nn import functional as F

from ...config.private_files import write_private
from ...pictures.read import read_picture
from .networks.birefnet import PatchOrder

#: Public-domain photographs that come with the package: an animal, and a thing on a table.
PICTURES = tuple(
    Path(__file__).resolve().parent.parent.parent / "web" / "samples" / name
    for name in ("rmbg-photo.jpg", "rmbg-product.jpg")
)
_FILE = "patch-orders.json"
_DEFAULT: PatchOrder = "wg hg c"
# A subject of a single outline has about .9; noise and flat maps have less than a tenth.
_STRUCTURED = 0.5
_CLOSE = 0.01
_BLOCKS = 32
_LEAST = 0.01


@dataclass(frozen=True)
class OrderTrial:
    """What the masks of both orders showed."""

    scores: Mapping[PatchOrder, float]
    """The mean `structure` of the masks, for each order."""

    @property
    def order(self) -> PatchOrder:
        """Return the order whose masks have structure, the older one where neither's do."""
        best = max(self.scores, key=lambda order: self.scores[order])
        return best if self.scores[best] >= _STRUCTURED else _DEFAULT

    @property
    def words(self) -> str:
        """Return the decision for a report."""
        other = next(order for order in self.scores if order != self.order)
        both = f"{self.scores[self.order]:.3f} against {self.scores[other]:.3f}"
        if max(self.scores.values()) < _STRUCTURED:
            return (
                f"nothing tells which patch order these weights need, and on two photographs "
                f"neither gave a mask ({both}): {self.order} is used; set patch_order"
            )
        said = f"patch order {self.order}, by a trial on two photographs ({both})"
        if abs(self.scores[self.order] - self.scores[other]) < _CLOSE:
            said += "; that is close: compare the other one with the setting patch_order"
        return said


#: Where none could be made.
NO_TRIAL = OrderTrial(dict.fromkeys(get_args(PatchOrder), 0.0))


def structure(alpha: Tensor) -> float:
    """Measure how much of a mask (h, w), 0..1, is areas of its own: 0 flat or noise, 1 at best.

    The variance of its means over 32 x 32 blocks, as a share of what a mask of 0 and 1 with the
    same mean could have.
    """
    mean = float(alpha.mean())
    possible = mean * (1 - mean)
    if not possible > _LEAST:  # nothing, everything, or not finite
        return 0.0
    blocks = F.adaptive_avg_pool2d(alpha[None, None].float(), _BLOCKS)
    return float(blocks.var(correction=0)) / possible


def try_orders(
    answer: Callable[[PatchOrder, Tensor], Tensor], pictures: Sequence[Path] = ()
) -> OrderTrial:
    """Run a network in both orders.

    answer: the alpha (h, w) of one picture (H, W, 3) in an order. pictures: files; those of the
    package by default.
    """
    there = [path for path in pictures or PICTURES if path.is_file()]
    if not there:
        return NO_TRIAL
    loaded = [read_picture(path, name=path.name).pixels for path in there]
    return OrderTrial(
        {
            order: sum(structure(answer(order, image)) for image in loaded) / len(loaded)
            for order in get_args(PatchOrder)
        }
    )


def remembered_trial(sha256: str, data_folder: Path) -> OrderTrial | None:
    """Return the trial of an earlier run of the file with this sha256; None without one."""
    scores = _load(data_folder).get(sha256)
    if not isinstance(scores, dict) or set(scores) != set(get_args(PatchOrder)):
        return None
    if not all(isinstance(score, float) for score in scores.values()):
        return None
    return OrderTrial({order: scores[order] for order in get_args(PatchOrder)})


def remember_trial(sha256: str, trial: OrderTrial, data_folder: Path) -> None:
    """Keep a trial. A folder that cannot be written to costs only the next one."""
    content = {**_load(data_folder), sha256: dict(trial.scores)}
    with suppress(OSError):
        write_private(data_folder / _FILE, json.dumps(content, indent=1).encode())


def _load(data_folder: Path) -> dict[str, object]:
    try:
        content = json.loads((data_folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
