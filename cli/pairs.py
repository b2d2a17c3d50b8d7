"""Which prediction belongs to which truth: by their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.errors import BadOption
from ..pictures.results import CUTOUT, MASK
from ..pictures.sources import Source, expand

#: What `rmbg remove` and `rmbg demo` add to a name; the earlier is the likelier to hold the mask.
MARKS = (MASK, CUTOUT)


@dataclass(frozen=True)
class Pair:
    """One truth and its prediction."""

    name: str
    truth: Path
    prediction: Path | None = None
    reason: str = ""
    """Why there is no prediction that could be used."""


def make_pairs(prediction: str, truth: str) -> list[Pair]:
    """Make a pair for every truth. Two files belong together whatever they are called; else names
    do, without suffix: the truth shoe.png has shoe-mask.*, else shoe-cutout.*, else shoe.*.

    Every truth counts, so that a run which lost its worst pictures does not score better. Raises
    BadOption when a path is not there, or nothing belongs together.
    """
    predictions, unread_predictions = _sorted(prediction)
    truths, unread_truths = _sorted(truth)
    if Path(prediction).is_file() and Path(truth).is_file():
        return [Pair(Path(truth).name, truths[0], predictions[0])]
    by_stem: dict[str, list[Path]] = {}
    for path in predictions:
        by_stem.setdefault(path.stem, []).append(path)
    stems = {path.stem for path in truths}
    unread = {Path(source.name).stem: source for source in unread_predictions}
    pairs = [_pair(path, by_stem, stems, unread) for path in truths]
    pairs += [
        Pair(Path(source.name).name, Path(source.name), reason=source.reason or "")
        for source in unread_truths
    ]
    if not any(pair.prediction for pair in pairs):
        raise BadOption(
            f"No picture in {prediction} has the name of one in {truth}. They pair by name without "
            f"suffix, so that {truths[0].stem}.png or {truths[0].stem}-mask.png goes with "
            f"{truths[0].name}."
        )
    return pairs


def _sorted(argument: str) -> tuple[list[Path], list[Source]]:
    """Find what is read, and pictures of kinds that are not."""
    sources = expand([argument])
    unread = [source for source in sources if source.unread]
    return [_path(source) for source in sources if not source.unread], unread


def _path(source: Source) -> Path:
    if source.path is None:
        raise BadOption(source.reason or "Name files or folders; standard input has no name.")
    return source.path


def _pair(
    truth: Path, by_stem: dict[str, list[Path]], stems: set[str], unread: dict[str, Source]
) -> Pair:
    candidates = _candidates(truth.stem, stems)
    for stem in candidates:
        found = by_stem.get(stem, [])
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            return Pair(truth.name, truth, reason=f"{names} are both predictions of it; keep one.")
        if found:
            return Pair(truth.name, truth, found[0])
    reasons = (unread[stem].reason for stem in candidates if stem in unread)
    reason = next(filter(None, reasons), "it has no prediction of its name.")
    return Pair(truth.name, truth, reason=reason)


def _candidates(stem: str, stems: set[str]) -> list[str]:
    """Return the stems that a prediction may have. One that is a truth's own (face-mask.png beside
    face.png among the truths) is that truth's."""
    bare = next((stem.removesuffix(mark) for mark in MARKS if stem.endswith(mark)), stem)
    marked = [f"{base}{mark}" for base in dict.fromkeys((stem, bare)) for mark in MARKS]
    wanted = dict.fromkeys([*marked, stem, bare])
    return [name for name in wanted if name == stem or name not in stems]
