"""`rmbg evaluate`: how close predicted masks are to the true ones."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ..core.errors import BadPicture, PictureError
from ..core.metrics import THRESHOLDS, Scores, f_curve, score
from ..core.resize import resize_mask
from ..pictures.read import Picture, read_picture
from ..pictures.write import write_atomic
from .pairs import Pair, make_pairs
from .shared import add_reading, check_not_read, fail
from .spreadsheet import Cell, csv_text

#: What the columns of the table are called; the fields of Scores, in their order.
COLUMNS = {"iou": "IoU", "accuracy": "accuracy", "mae": "MAE", "max_f": "max F", "s_measure": "S"}
# Compression may tint a grey mask by this much; a picture with more colour is a photograph.
_TINT = 0.1


@dataclass(frozen=True)
class _Scored:
    pair: Pair
    scores: Scores
    curve: Tensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("prediction", metavar="PRED", help="a mask or cut-out, or a folder of them")
    add("truth", metavar="TRUTH", help="the true mask, or a folder of them")
    add("--resize", action="store_true", help="bring a prediction of another size to the truth's")
    add("--json", action="store_true", help="print one JSON object")
    add("--csv", metavar="FILE", type=Path, help="write one line a picture")
    add_reading(parser)


def run(arguments: argparse.Namespace) -> int:
    pairs = make_pairs(arguments.prediction, arguments.truth)
    files = [file for pair in pairs for file in (pair.truth, pair.prediction)]
    check_not_read(arguments.csv, files)
    scored: list[_Scored] = []
    unscored: list[tuple[Pair, str]] = []
    for pair in tqdm(pairs, unit="picture", disable=None, file=sys.stderr):
        result = _evaluated(pair, arguments.max_megapixels, resize=arguments.resize)
        if isinstance(result, _Scored):
            scored.append(result)
        else:
            unscored.append((pair, result))
    scored.sort(key=lambda one: (one.scores.iou, -one.scores.mae, one.pair.name))
    rows = [_row(one.pair, one.scores, None) for one in scored]
    rows += [_row(pair, None, reason) for pair, reason in unscored]
    if arguments.csv is not None:
        heading = ["picture", "prediction", "truth", *COLUMNS, "error"]
        table = csv_text(heading, ([row[name] for name in heading] for row in rows))
        # A file name may hold what is no Unicode.
        write_atomic(arguments.csv, table.encode(errors="backslashreplace"))
    if arguments.json:
        data = {"pictures": rows, "compared": len(scored), "means": _means(scored)}
        print(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(scored, len(pairs))))
    for pair, reason in unscored:
        fail(pair.name, reason)
    return 1 if unscored else 0


def mask_of(picture: Picture) -> Tensor:
    """Return the mask (H, W) in 0..1: the picture's alpha, else its grey, also where a grey
    picture's alpha is 1 everywhere. Raises BadPicture for colours without alpha."""
    colours = picture.pixels
    tint = float((colours.amax(dim=-1) - colours.amin(dim=-1)).max())
    if picture.alpha is not None and (tint > _TINT or bool((picture.alpha < 1).any())):
        return picture.alpha
    if tint > _TINT:
        raise BadPicture(
            f"{picture.name} is a colour picture without alpha, so it holds no mask. Name the mask "
            "or the transparent cut-out."
        )
    return colours.mean(dim=-1).clamp(0, 1)


def _evaluated(pair: Pair, max_megapixels: float, *, resize: bool) -> _Scored | str:
    """Score one prediction, or say why it cannot be."""
    if pair.prediction is None:
        return pair.reason
    try:
        alpha, truth = (
            mask_of(read_picture(path, name=str(path), max_megapixels=max_megapixels))
            for path in (pair.prediction, pair.truth)
        )
        if resize:
            alpha = resize_mask(alpha[None], truth.shape[0], truth.shape[1])[0]
        elif alpha.shape != truth.shape:
            raise BadPicture(
                f"the prediction has {alpha.shape[1]} x {alpha.shape[0]} pixels and the truth "
                f"{truth.shape[1]} x {truth.shape[0]}. Predict at the truth's size, or add "
                "--resize."
            )
        return _Scored(pair, score(alpha, truth), f_curve(alpha, truth))
    except PictureError as error:
        return str(error)


def _means(scored: Sequence[_Scored]) -> dict[str, float]:
    """Return the mean of every measure, and the best F that one threshold for all pictures reaches:
    that is what papers call max F of a data set, and it is never more than the mean of the
    pictures'."""
    if not scored:
        return {}
    means = {
        name: sum(getattr(one.scores, name) for one in scored) / len(scored) for name in COLUMNS
    }
    best = torch.stack([one.curve for one in scored]).mean(dim=0).max(dim=0)
    threshold = (int(best.indices) + 1) / THRESHOLDS
    return {**means, "max_f_of_one_threshold": float(best.values), "threshold": threshold}


def _lines(scored: Sequence[_Scored], total: int) -> list[str]:
    means = _means(scored)
    if not means:
        return [f"None of {total} pictures could be compared."]
    width = max(len("picture"), *(len(one.pair.name) for one in scored))
    rows = [(one.pair.name, [getattr(one.scores, name) for name in COLUMNS]) for one in scored]
    if len(rows) > 1:
        rows.append(("mean", [means[name] for name in COLUMNS]))
    head = f"{'picture':<{width}}" + "".join(f"{label:>10}" for label in COLUMNS.values())
    table = [f"{name:<{width}}" + "".join(f"{value:>10.4f}" for value in row) for name, row in rows]
    return [
        head,
        *table,
        f"{len(scored)} of {total} pictures, the worst first. Max F with one threshold for all "
        f"({means['threshold']:.3f}): {means['max_f_of_one_threshold']:.4f}.",
    ]


def _row(pair: Pair, scores: Scores | None, error: str | None) -> dict[str, Cell]:
    return {
        "picture": pair.name,
        "prediction": None if pair.prediction is None else str(pair.prediction),
        "truth": str(pair.truth),
        **(dict.fromkeys(COLUMNS) if scores is None else asdict(scores)),
        "error": error,
    }
