"""Where weights are looked for, and how a file is known to be the right one.

Released files are found by size and sha256 under any name, so the folders of other node packs need
no table of their names. Names serve to tell a broken file from a missing one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...catalogue.licences import LICENCES, NOT_ESTABLISHED
from ...config.invocation import command, quoted
from ...core.errors import WeightsMissing, WeightsUnusable
from ...core.specs import BackendSpec
from ...core.types import Host
from .released import RELEASED, Released, rows_of
from .verify import sha256_of

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".onnx")

_ONNX = ".onnx"

# models/RMBG/RMBG-2.0/onnx/... : as deep as published folders go.
_DEPTH = 3


@dataclass(frozen=True)
class Found:
    """A weight file that exists."""

    path: Path
    sha256: str
    released: Released | None
    """None for one that is not in our table."""

    @property
    def licence(self) -> str:
        """Return the licence's id; what is in no table counts as non-commercial."""
        return self.released.licence if self.released else NOT_ESTABLISHED


@dataclass(frozen=True)
class Sighting:
    """A file that may be the row's."""

    path: Path
    row: Released
    fits: bool
    """It has the row's size."""
    named: bool
    """It lies where the row's file would."""


def find_weights(
    model: str,
    host: Host,
    *,
    path: str = "",
    rows: Sequence[Released] = RELEASED,
    environment: Mapping[str, str] | None = None,
) -> Found:
    """Return the weights of a model: those at `path` when it is given, else the released file.

    path: a file with any weights, or a folder with the released ones. Else the host's model folders
    are searched, then the cache of the Hugging Face Hub, on disk. Opens no socket. Raises
    WeightsMissing with the searched folders, WeightsUnusable when a file is there but is not the
    released one, BadOption for an unknown model.
    """
    own = own_file(model, host, path, rows=rows)
    if own is not None:
        return own
    wanted = rows_of(model, rows)
    places = [_expanded(path)] if path else search_places(host, wanted, environment)
    blocked: list[str] = []
    alike: dict[Path, str] = {}
    seen = sightings(wanted, places, blocked)
    for sighting in seen:
        if not sighting.fits:
            continue
        try:
            sha256 = sha256_of(sighting.path, host.data_folder())
        except WeightsUnusable:  # a good one may lie elsewhere
            blocked.append(str(sighting.path))
            continue
        if sha256 == sighting.row.sha256:
            return Found(sighting.path, sha256, sighting.row)
        if all(sha256 != row.sha256 for row in rows):  # files of one network have one size
            alike[sighting.path] = sha256
    for sighting in seen:
        if sighting.named and str(sighting.path) not in blocked:
            raise WeightsUnusable(_not_it(sighting))
    unread = f" {' and '.join(blocked)} could not be read." if blocked else ""
    raise WeightsMissing(
        f"The weights of {wanted[0].name} were not found: there is no {wanted[0].file} "
        f"({wanted[0].size:,} bytes) under {', '.join(str(place) for place in places)}.{unread} "
        f"{_said_of(alike)}{_ways_out(wanted[0], host)}"
    )


def own_file(
    model: str, host: Host, path: str, *, rows: Sequence[Released] = RELEASED
) -> Found | None:
    """Return the file that was named, whatever it holds; None where `path` is empty or a folder.

    model: what is fetched instead, for the message. Raises WeightsMissing when nothing is there,
    WeightsUnusable when it cannot be read.
    """
    wanted = rows_of(model, rows)
    given = _expanded(path)
    if path and given.is_file():
        return identify(given, host, rows=rows)
    if path and not given.exists():
        raise WeightsMissing(f"There is no file {given}. {_ways_out(wanted[0], host)}")
    return None


def _expanded(path: str) -> Path:
    return Path(os.path.expanduser(path))  # unlike Path.expanduser, never raises


def spec_of(spec: BackendSpec, found: Found) -> BackendSpec:
    """Return the row as it stands for this very file: its licence and sha256, and its model's id.

    A file of the user's own is no model of the catalogue, so only the provider stands for it.
    """
    model = f"/{found.released.model}" if found.released else ""
    return replace(
        spec,
        id=f"{spec.provider}{model}",
        licence=found.licence,
        weights_sha256=found.sha256,
    )


def identify(path: Path, host: Host, *, rows: Sequence[Released] = RELEASED) -> Found:
    """Return what this file is, by its sha256. Raises WeightsUnusable when it cannot be read."""
    sha256 = sha256_of(path, host.data_folder())
    return Found(path, sha256, next((row for row in rows if row.sha256 == sha256), None))


def search_places(
    host: Host, rows: Sequence[Released], environment: Mapping[str, str] | None = None
) -> list[Path]:
    """Return the host's model folders, then the Hub's cache of the rows' repositories, then where
    rembg keeps its models, if one of them is wanted."""
    variables = os.environ if environment is None else environment
    cache = hub_cache(variables)
    cached = dict.fromkeys(cache / _cache_name(row) / "snapshots" for row in rows)
    theirs = rembg_folders(variables) if any(row.file.endswith(_ONNX) for row in rows) else []
    return [*dict.fromkeys(host.model_folders()), *cached, *theirs]


def sightings(
    rows: Sequence[Released], places: Sequence[Path], blocked: list[str] | None = None
) -> list[Sighting]:
    """Return every file below the places that may be one of the rows', the likeliest first.

    blocked: takes the folders that could not be read.
    """
    unread = [] if blocked is None else blocked
    found = [
        Sighting(path, row, fits=size == row.size, named=_is_named(path, row))
        for place in places
        for path, size in _weight_files(place, unread)
        for row in rows
        if path.suffix == Path(row.file).suffix or size == row.size
    ]
    likely = [sighting for sighting in found if sighting.fits or sighting.named]
    return sorted(likely, key=lambda seen: (not seen.named, rows.index(seen.row)))


def hub_cache(environment: Mapping[str, str]) -> Path:
    """Return the Hub's cache folder, by the variables that its own client reads."""
    xdg = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{xdg}/huggingface"
    cache = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    return Path(os.path.expandvars(cache or f"{home}/hub")).expanduser()


def rembg_folders(environment: Mapping[str, str]) -> list[Path]:
    """Return where rembg keeps its models, by the variables that it reads: newer versions first."""
    xdg = environment.get("XDG_DATA_HOME")
    older = environment.get("U2NET_HOME") or f"{xdg or '~'}/.u2net"
    newer = environment.get("REMBG_HOME") or (f"{xdg}/rembg" if xdg else "~/.rembg")
    return [_expanded(newer), _expanded(older)]


def fetch_line(row: Released) -> str:
    """Return the command that fetches this model, for a message."""
    return command(f"weights get {row.model} --accept-license")


def _weight_files(folder: Path, blocked: list[str]) -> Iterator[tuple[Path, int]]:
    """Yield files with a weights suffix and their sizes, in a fixed order; none of no folder."""

    def note(error: OSError) -> None:
        if isinstance(error, PermissionError):
            blocked.append(str(error.filename))

    for place, folders, names in os.walk(folder, onerror=note, followlinks=True):
        folders.sort()
        if len(Path(place).relative_to(folder).parts) >= _DEPTH:
            folders.clear()
        for name in sorted(names):
            if not name.lower().endswith(SUFFIXES):
                continue
            path = Path(place, name)
            try:
                yield path, path.stat().st_size
            except OSError:  # a link into nothing: an interrupted download of the Hub's client
                continue


def _is_named(path: Path, row: Released) -> bool:
    """Tell whether we, other packs or the Hub's client put the row's file here."""
    if path.stem.casefold() == row.name.casefold():
        return path.suffix == Path(row.file).suffix
    return path.name == row.file_name and (
        path.parent.name.casefold() == row.name.casefold() or _cache_name(row) in path.parts
    )


def _cache_name(row: Released) -> str:
    return f"models--{row.repo.replace('/', '--')}"


def _ways_out(row: Released, host: Host) -> str:
    licence = LICENCES[row.licence]
    return (
        f"If you accept their licence ({licence.name}, {licence.licence_page}), press Download on "
        f"Load RMBG in ComfyUI, or fetch them with `{fetch_line(row)}`, or put the file into "
        f"{host.model_folders()[0] / row.name}."
    )


def _said_of(alike: Mapping[Path, str]) -> str:
    """Say what is known of files that have the released size and another content."""
    return "".join(
        f"{path} has exactly the released size and another sha256 ({sha256}): it is damaged, or "
        "holds other weights; if it is your own, name it in the setting `weights` "
        f"(`--option weights={quoted(str(path))}`). "
        for path, sha256 in alike.items()
    )


def _not_it(sighting: Sighting) -> str:
    row, path = sighting.row, sighting.path
    reason = "its sha256 is another"
    if not sighting.fits:
        reason = f"it has {path.stat().st_size:,} bytes instead of {row.size:,}"
    return (
        f"{path} is not the released {row.name}: {reason}. Delete it and fetch it again with "
        f"`{fetch_line(row)}`, or name it in the setting `weights` if it is your own."
    )
