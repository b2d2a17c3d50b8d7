"""What Remove Background says below its widgets: what is worth a look, worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..core.report import KINDS, NO_SUBJECT, NOTE, FailureReport, Report, kinds_of

# Those that make a result useless more often than not.
_URGENT = (NO_SUBJECT, "touches-border")
# Remarks on the file, on records and of the backend stay in the report.
_SHOWN = tuple(kind for kind in KINDS if kind not in (NOTE, "file", "records", "clipped"))

# More pictures of one size with transparency are the frames of a video, more often than not.
_FEW_FRAMES = 8


@dataclass(frozen=True)
class Notice:
    """One sentence on a run."""

    words: str
    """For the user, with its full stop."""
    urgent: bool = False
    """Whether it is shown as a toast, too."""


def worth_a_look(reports: Sequence[Report | FailureReport]) -> list[Notice]:
    """Failed pictures, then the kinds of warnings, each with how many pictures have it; what makes
    a result useless leads."""
    total = len(reports)
    failed = sum(isinstance(report, FailureReport) for report in reports)
    notices = [Notice(_counted("failed", failed, total))] if failed else []
    made = [report for report in reports if isinstance(report, Report)]
    counts = Counter(kind for report in made for kind in set(kinds_of(report.warnings)))
    for kind in filter(counts.__getitem__, _SHOWN):
        words = KINDS[kind]
        if total == 1:
            words = next(said for said in made[0].warnings if kinds_of([said]) == (kind,))
        if kind == NO_SUBJECT:
            words += ", so the cut-out is empty"
        notices.append(Notice(_counted(words, counts[kind], total), kind in _URGENT))
    return notices


def many_frames(images: Sequence[Tensor]) -> tuple[str, ...]:
    """A sentence where results (B, H, W, C) look like the frames of a video with transparency."""
    most = max((len(image) for image in images if image.shape[-1] == 4), default=0)
    if most <= _FEW_FRAMES:
        return ()
    return (
        f"{most} frames with transparency, which Create Video does not take: it fails with "
        "Unexpected numpy array shape. Remove Background from Video (RMBG) makes a transparent "
        "video, in flat memory; or set background to a colour, or save the frames as PNG.",
    )


def _counted(words: str, count: int, total: int) -> str:
    sentence = words if total == 1 else f"{words}: {count} of {total} pictures"
    return f"{sentence[:1].upper()}{sentence[1:].removesuffix('.')}."
