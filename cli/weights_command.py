"""`rmbg weights`: the files of local models, listed, fetched, verified, converted and exported."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ..backends.local.convert import convert
from ..backends.local.export import export_onnx
from ..backends.local.find import Sighting, find_weights, identify, search_places, sightings
from ..backends.local.networks.birefnet import PatchOrder
from ..backends.local.patch_orders import remembered_trial
from ..backends.local.released import RELEASED, Released, rows_of
from ..backends.local.verify import HeldFile, remembered, sha256_of
from ..backends.local.weights import fetch
from ..catalogue.backends import find
from ..catalogue.licences import LICENCES, OwnWeights, licence_of
from ..config.host import MODELS_VARIABLE, PlainHost
from ..config.settings import read_settings
from ..core.errors import BackendMissing, WeightsMissing, WeightsUnusable
from ..core.types import Host
from ..pipeline.gate import allow
from .shared import add_usage, settings_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    models = ", ".join(dict.fromkeys(row.model for row in RELEASED))
    listing = actions.add_parser("list", help="the released files, and which are here")
    listing.add_argument("--json", action="store_true", help="print one JSON list")
    get = actions.add_parser("get", help="fetch a model from the Hugging Face Hub")
    get.add_argument("model", metavar="MODEL", help=f"one of: {models}")
    get.add_argument("--accept-license", action="store_true", help="I accept the model's licence")
    get.add_argument("--to", metavar="FOLDER", help="the model folder to put it into")
    add_usage(get, "what it is for")
    get.add_argument(
        "--transformers",
        action="store_true",
        help="also write what transformers needs to load that folder",
    )
    verify = actions.add_parser("verify", help="compare files with the released sha256")
    verify.add_argument("target", nargs="?", metavar="FILE|MODEL", help="default: all that is here")
    conversion = actions.add_parser("convert", help="write any readable weights as safetensors")
    conversion.add_argument(
        "source",
        metavar="SRC",
        type=Path,
        help="a weight file: .pth, .safetensors, or IS-Net as .onnx",
    )
    conversion.add_argument(
        "target", metavar="DST", type=Path, help="the .safetensors file to write"
    )
    conversion.add_argument("--fp16", action="store_true", help="store in half precision")
    export = actions.add_parser("export", help="write a model as ONNX, in standard operators only")
    export.add_argument("source", metavar="MODEL|FILE", help=f"{models}, or any readable weights")
    export.add_argument("target", metavar="OUT.onnx", type=Path, help="the file to write")
    export.add_argument("--onnx", action="store_true", help="the format: the default and only one")
    export.add_argument("--resolution", type=int, default=0, metavar="N", help="the square's side")
    export.add_argument("--fp16", action="store_true", help="store and compute in half precision")


def run(
    arguments: argparse.Namespace,
    *,
    host: Host | None = None,
    rows: Sequence[Released] = RELEASED,
    endpoint: str | None = None,
) -> int:
    machine = host or PlainHost()
    if arguments.action == "list":
        return _list(machine, rows, as_json=arguments.json)
    if arguments.action == "get":
        return _get(arguments, machine, rows, endpoint)
    if arguments.action == "verify":
        return _verify(arguments.target, machine, rows)
    if arguments.action == "export":
        return _export(arguments, machine, rows)
    return _convert(arguments, machine, rows)


def _convert(arguments: argparse.Namespace, host: Host, rows: Sequence[Released]) -> int:
    count = convert(arguments.source, arguments.target, half=arguments.fp16)
    size = arguments.target.stat().st_size
    print(f"{arguments.target}: {count} tensors, {size / 1e6:,.1f} MB.")
    found = identify(arguments.source, host, rows=rows)
    before = licence_of(found.licence, found.sha256, read_settings().weights)
    sha256 = sha256_of(arguments.target, host.data_folder())
    print(
        f"The weights keep their licence ({before.name}), but this file is a new one: it counts as "
        "non-commercial unless a [[weights]] row of settings.toml says otherwise "
        f'(sha256 = "{sha256}").'
    )
    return 0


def _list(host: Host, rows: Sequence[Released], *, as_json: bool) -> int:
    places = search_places(host, rows)
    seen = sightings(rows, places)
    if as_json:
        print(json.dumps([_facts(row, seen, host) for row in rows], indent=2))
        return 0
    width = max(len(row.model) for row in rows) + 2
    file_width = max(len(row.file_name) for row in rows) + 2
    for row in rows:
        print(
            f"{row.model:<{width}}{row.file_name:<{file_width}}{row.size / 1e6:>7,.1f} MB  "
            f"{row.dtype}  {LICENCES[row.licence].name}"
        )
        here = [sighting for sighting in seen if sighting.row is row]
        for sighting in here:
            print(f"{'':<{width}}{sighting.path}: {_state(sighting, host)}")
        if not here:
            print(f"{'':<{width}}missing{f' ({row.note})' if row.note else ''}")
    print("Searched, with subfolders:", *places, sep="\n  ")
    return 0


def _facts(row: Released, seen: Sequence[Sighting], host: Host) -> dict[str, object]:
    return {
        "model": row.model,
        "file": row.file,
        "bytes": row.size,
        "sha256": row.sha256,
        "dtype": row.dtype,
        "licence": LICENCES[row.licence].name,
        "page": row.page,
        "found": [
            {"path": str(sighting.path), "state": _state(sighting, host)}
            for sighting in seen
            if sighting.row is row
        ],
    }


def _state(sighting: Sighting, host: Host) -> str:
    """Say what is known without reading the file."""
    if not sighting.fits:
        return "not the released file: another size"
    sha256 = remembered(sighting.path, host.data_folder())
    if sha256 is None:
        return "found, not verified yet"
    return "verified" if sha256 == sighting.row.sha256 else "not the released file: another sha256"


def _get(
    arguments: argparse.Namespace, host: Host, rows: Sequence[Released], endpoint: str | None
) -> int:
    row = rows_of(arguments.model, rows)[0]
    settings = settings_for(arguments)
    _, ground = allow(find(f"local/{row.model}"), arguments.usage, settings)
    folder = Path(arguments.to).expanduser() if arguments.to else host.model_folders()[0]
    complete = _completion() if arguments.transformers else None
    path = fetch(
        row,
        folder,
        host.data_folder(),
        accepted=arguments.accept_license,
        offline=settings.offline,
        endpoint=endpoint,
    )
    print(f"{path}: {row.name}, verified ({ground}).")
    if complete is not None:
        complete(path, row.patch_order, row.resolution)
        print(
            f"{path.parent}: after `import rmbg_nodes.hf`, transformers' "
            "AutoModelForImageSegmentation.from_pretrained loads this folder."
        )
    if folder not in host.model_folders():
        print(
            f"To have it found, name {folder} in {MODELS_VARIABLE}, or give the backend its path."
        )
    return 0


def _completion() -> Callable[[Path, PatchOrder, int], Path]:
    """Return what makes a folder one of transformers, before anything is fetched."""
    try:
        from ..hf import complete_folder
    except ImportError as error:
        raise BackendMissing(
            "--transformers needs transformers 5: `pip install 'transformers>=5'`. Without it, "
            "leave --transformers out."
        ) from error
    return complete_folder


def _verify(target: str | None, host: Host, rows: Sequence[Released]) -> int:
    paths = _chosen(target, host, rows)
    if not paths:
        print("No weights were found; `weights list` says where they are looked for.")
    own = read_settings().weights
    unknown = 0 if paths else 1
    for path in paths:
        sha256 = sha256_of(path, host.data_folder(), anew=True)
        row = next((row for row in rows if row.sha256 == sha256), None)
        unknown += row is None
        print(f"{path}: {_verdict(row, sha256, own.get(sha256))}", flush=True)
    return 1 if unknown else 0


def _export(arguments: argparse.Namespace, host: Host, rows: Sequence[Released]) -> int:
    path = Path(arguments.source).expanduser()
    found = (
        identify(path, host, rows=rows)
        if path.is_file()
        else find_weights(arguments.source, host, rows=rows)
    )
    file = HeldFile(found.path, found.sha256, host.data_folder())
    trial = remembered_trial(found.sha256, host.data_folder())
    facts = export_onnx(
        found,
        arguments.target,
        resolution=arguments.resolution,
        half=arguments.fp16,
        patch_order=trial.order if trial else None,
    )
    try:
        file.check_name()  # what was read meanwhile is what the metadata says
    except WeightsUnusable:
        arguments.target.unlink(missing_ok=True)
        raise
    finally:
        file.close()
    size = arguments.target.stat().st_size
    side = facts["resolution"]
    print(f"{arguments.target}: {facts['model']} at {side} x {side}, {size / 1e6:,.1f} MB.")
    if found.released is None and trial is None and "patch_order" in facts:
        print(
            f"Nothing tells the patch order of these weights; {facts['patch_order']} was written. "
            "Run them on a picture first: that tries both, and the next export knows."
        )
    licence = licence_of(found.licence, found.sha256, read_settings().weights)
    page = f" ({licence.licence_page})" if licence.licence_page else ""
    print(f"The licence of the weights goes with this file: {licence.name}{page}.")
    return 0


def _chosen(target: str | None, host: Host, rows: Sequence[Released]) -> list[Path]:
    """Return the file itself, the files of the model of this name, or all files that may be
    released."""
    if target and Path(target).expanduser().is_file():
        return [Path(target).expanduser()]
    wanted = [row for row in rows if target in (None, row.model)]
    if not wanted:
        models = ", ".join(dict.fromkeys(row.model for row in rows))
        raise WeightsMissing(f"{target} is neither a file nor a model. The models are: {models}.")
    seen = sightings(wanted, search_places(host, wanted))
    return list(dict.fromkeys(sighting.path for sighting in seen))


def _verdict(row: Released | None, sha256: str, own: OwnWeights | None) -> str:
    if row is None and own is not None:
        may = "commercial use too" if own.commercial else "non-commercial use only"
        return (
            f"{own.name} by your settings, {own.licence} ({own.source}), {may} (sha256 {sha256})."
        )
    if row is None:
        return (
            f"none of the released files (sha256 {sha256}). Its licence is not established, so it "
            "counts as non-commercial."
        )
    return f"{row.name} {row.file}, verified ({LICENCES[row.licence].name})."
