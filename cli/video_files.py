"""Which videos `rmbg video` reads, and where each result goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..catalogue.hosted_videos import CODECS
from ..core.errors import BadOption
from ..pictures.find_pictures import file_key, is_pattern, natural, split_pattern
from ..pictures.results import MASK
from ..video.writing.video_formats import VIDEO_FORMATS, VideoFormat

#: Of the files that folders are searched for; a file that is named may have any.
VIDEO_SUFFIXES = frozenset(
    [
        ".3gp",
        ".avi",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".ogv",
        ".ts",
        ".webm",
        ".wmv",
    ]
)
_WRITTEN = frozenset(row.suffix for row in VIDEO_FORMATS if not row.is_sequence)
# A name that is none of a folder: also what only hosts write.
_FILES = _WRITTEN | frozenset(CODECS.values())
_MATTES = frozenset(row.suffix for row in VIDEO_FORMATS if row.matte)


@dataclass(frozen=True)
class VideoFiles:
    """One video, and where its results go."""

    source: Path
    out: Path
    """The folder of a sequence."""
    matte: Path | None


def means_file(output: str) -> bool:
    """Tell whether OUT names one video, and not a folder for several."""
    return Path(output).suffix.lower() in _FILES and not Path(output).is_dir()


def place_videos(
    inputs: Sequence[str],
    output: str,
    matte: str | None,
    format: VideoFormat | None,
    *,
    recursive: bool,
) -> list[VideoFiles]:
    """Find the videos, and give each its place. format: None = what the name of OUT asks for.

    Raises BadOption for an argument that leads nowhere, and for one place for two results.
    """
    found = list(_found(inputs, Path(output), recursive=recursive))
    single = len(found) == 1
    if means_file(output):
        if not single:
            raise BadOption(f"{output} is one file, but there are {len(found)} videos.")
        places = [Path(output)]
    elif format is None:
        raise BadOption(
            f"{output} does not say what video it is to be; end its name in "
            f"{', '.join(sorted(_WRITTEN))}, or choose a --format for a folder."
        )
    elif format.is_sequence and single and not Path(output).is_dir():
        places = [Path(output)]
    else:
        suffix = "" if format.is_sequence else format.suffix
        places = [Path(output) / below.with_suffix(suffix) for _, below in found]
    mattes = _mattes(places, matte)
    planned = [
        VideoFiles(source, out, beside)
        for (source, _), out, beside in zip(found, places, mattes, strict=True)
    ]
    _check_apart(planned)
    return planned


def _found(inputs: Sequence[str], output: Path, *, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Yield each video once, with the name that its result has below OUT."""
    seen: set[str] = set()
    for argument in inputs:
        matches = list(_of_argument(argument, output, recursive=recursive))
        if not matches:
            raise BadOption(f"{argument} leads to no video. Nothing was done.")
        for path, below in matches:
            key = file_key(path)
            if key not in seen:
                seen.add(key)
                yield path, below


def _of_argument(argument: str, output: Path, *, recursive: bool) -> Iterator[tuple[Path, Path]]:
    path = Path(argument)
    if path.is_file():
        yield path, Path(path.name)
        return
    base, pattern = path, "**/*" if recursive else "*"
    if is_pattern(argument):
        base, names = split_pattern(argument)
        pattern = "/".join(names)
    if not base.is_dir():
        return
    inside = output.resolve()
    for one in sorted(base.glob(pattern), key=lambda place: natural(str(place))):
        below = one.relative_to(base)
        hidden = any(part.startswith(".") for part in below.parts)
        made_here = inside != base.resolve() and inside in one.resolve().parents
        video = one.suffix.lower() in VIDEO_SUFFIXES and one.is_file()
        if video and not hidden and not made_here:
            yield one, below


def _mattes(places: Sequence[Path], matte: str | None) -> list[Path | None]:
    """Return where each matte goes: a file for one video, else a folder."""
    if matte is None:
        return [None] * len(places)
    if Path(matte).suffix.lower() in _MATTES and not Path(matte).is_dir():
        if len(places) != 1:
            raise BadOption(f"{matte} is one file, but there are {len(places)} videos.")
        return [Path(matte)]
    return [Path(matte) / f"{place.stem}{MASK}.mp4" for place in places]


def _check_apart(planned: Sequence[VideoFiles]) -> None:
    """Raise BadOption where a result would replace another, or a video that is read."""
    taken = {file_key(files.source): files.source for files in planned}
    for files in planned:
        for place in filter(None, (files.out, files.matte)):
            key = file_key(place)
            if key in taken:
                raise BadOption(
                    f"{place} would be the result of {files.source}, and is "
                    f"{'read, too' if taken[key] == place else f'that of {taken[key]}, too'}; "
                    "give them folders of their own."
                )
            taken[key] = files.source
