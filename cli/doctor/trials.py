"""What `rmbg doctor` finds out by trying: the device, the weights, and one picture a backend."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from ...backends.local.find import search_places, sightings
from ...backends.local.precision import HALVES, dtype_of, pays
from ...backends.local.released import Released
from ...backends.local.verify import sha256_of
from ...catalogue.backends import BACKENDS
from ...catalogue.licences import NOT_ESTABLISHED
from ...config.host import PlainHost
from ...config.keys import find_key
from ...config.settings import Settings
from ...core.errors import (
    AccountRefused,
    BackendMissing,
    KeyMissing,
    LicenceRefused,
    Offline,
    OverBudget,
    RmbgError,
    WeightsUnusable,
)
from ...core.metrics import iou, mean_absolute_error
from ...core.specs import BackendSpec, OptionValue
from ...core.types import Host
from ...demo.make_demo import cut_out
from ...demo.product import product_shot
from ...demo.shapes import Scene
from ...pipeline.gate import open_backend
from .findings import Rows

SIDE = 512
_NAME = "the test picture"
# For a model that is guided by words: what `known_scene` shows.
_WORDS = "the product"
_PACKAGE = Path(__file__).absolute().parent.parent.parent
#: A mask that agrees less with the true one comes from wrong weights or a broken device.
_LEAST_IOU = 0.5
#: A first run this quick is repeated: on a GPU it mostly measures the start of its kernels.
_QUICK = 5.0
# Nothing is wrong with these: the user has said no, or has not said yes.
_NOT_ALLOWED = (LicenceRefused, Offline, KeyMissing, AccountRefused, BackendMissing, OverBudget)
# What torch and its drivers raise on a device that they do not serve.
_BROKEN = (RmbgError, RuntimeError, TypeError, ValueError, OSError, ImportError)


@dataclass(frozen=True)
class WeightFile:
    """A file that may be a model's."""

    model: str
    name: str
    path: Path
    sha256: str
    state: str
    """"verified", or why it is not used."""

    @property
    def verified(self) -> bool:
        return self.state == "verified"


@dataclass(frozen=True)
class Trial:
    """One picture through one backend."""

    backend: str
    state: Literal["works", "wrong", "failed", "not tried"]
    words: str
    device: str = ""
    seconds: float = 0.0
    """The picture alone, after warming up where that is quick."""
    whole: float = 0.0
    """Seconds with opening and loading."""
    iou: float = 0.0
    """Against the true alpha."""
    mae: float = 0.0
    """Against the true alpha."""


def device_rows() -> Rows:
    """List every device that torch can compute on here."""
    rows = {
        "CPU": f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}",
        "torch built for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA",
    }
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        rows[f"cuda:{index}"] = (
            f"{facts.name}, {facts.total_memory / 2**30:.1f} GiB, "
            f"compute capability {facts.major}.{facts.minor}"
        )
    if torch.backends.mps.is_available():
        rows["mps"] = "available"
    for index in range(torch.xpu.device_count()):
        rows[f"xpu:{index}"] = torch.xpu.get_device_name(index)
    return rows


def choice_rows(host: PlainHost) -> Rows:
    """Return the device that is used, the dtype that "auto" means there, and for a CPU which half
    precision pays. Raises BadOption for a named device that is not there."""
    rows = {
        "used": str(host.device()),
        "precision auto": str(dtype_of("auto", host)).removeprefix("torch."),
    }
    if host.device().type == "cpu":
        rows |= {f"precision {name}": _worth(dtype, host) for name, dtype in HALVES.items()}
    return rows


def _worth(dtype: torch.dtype, host: PlainHost) -> str:
    figure = f"{host.slowdown(dtype):.2g} times as long as float32 on a small product"
    return f"pays, {figure}" if pays(dtype, host) else f"refused, {figure}"


def weight_files(
    host: Host, rows: Sequence[Released], environment: Mapping[str, str], package: Path = _PACKAGE
) -> list[WeightFile]:
    """Read what lies in the model folders, compared with the released sha256.

    package: where we lie. In ComfyUI's custom_nodes its `models` are looked through as well; of
    extra_model_paths.yaml only ComfyUI itself knows.
    """
    places = search_places(host, rows, environment)
    if package.parent.name == "custom_nodes":
        places.append(package.parent.parent / "models")
    found = []
    for seen in sightings(rows, places):
        sha256, state = "", f"another size than the released {seen.row.size:,} bytes"
        if seen.fits:
            try:
                sha256 = sha256_of(seen.path, host.data_folder())
                same = sha256 == seen.row.sha256
                state = "verified" if same else "not the released file: another sha256"
            except WeightsUnusable as error:
                state = str(error)
        found.append(WeightFile(seen.row.model, seen.row.name, seen.path, sha256, state))
    return found


def known_scene() -> Scene:
    """Draw the demo's product shot, small; its true alpha is known."""
    return product_shot((SIDE, SIDE))


def reason_against(
    spec: BackendSpec, files: Sequence[WeightFile], environment: Mapping[str, str], *, spend: bool
) -> str:
    """Say why this backend is not tried; empty where it can be."""
    if spec.location == "hosted":
        try:
            find_key(spec, "", environment=environment)
        except KeyMissing:
            return "no key is set"
        return "" if spend else f"the price of a picture: {spec.price}; --spend tries it"
    if spec.model and _weights_of(spec, files) is None:
        return "no verified weights were found"
    return ""


def own_file_rows(path: str) -> list[BackendSpec]:
    """Return the rows to try a user's own weights with: one for a file, whose network is read from
    it, all for a folder, which holds released ones; none for an empty path."""
    local = [spec for spec in BACKENDS.values() if spec.provider == "local"]
    if Path(path).is_dir():
        return local if path else []
    return [replace(local[0], id="local")]


def options_for(spec: BackendSpec, given: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """Return those of the given options that this backend has."""
    known = {option.name for option in spec.options}
    return {name: value for name, value in given.items() if name in known}


def try_backend(
    spec: BackendSpec,
    scene: Scene,
    files: Sequence[WeightFile],
    settings: Settings,
    host: Host,
    *,
    options: Mapping[str, OptionValue] | None = None,
) -> Trial:
    """Run one picture through this backend; whatever goes wrong becomes the trial's words."""
    file = _weights_of(spec, files)
    found: dict[str, OptionValue] = {} if file is None else {"weights": str(file.path)}
    if spec.instruction:
        found[spec.instruction.name] = _WORDS
    options = {**found, **(options or {})}
    # The pin of a deployment would make every trial one of the same backend.
    settings = replace(settings, backend=None)
    try:
        return _tried(spec, scene, options, settings, host)
    except _NOT_ALLOWED as error:
        return Trial(spec.id, "not tried", str(error))
    except _BROKEN as error:
        words = str(error) if isinstance(error, RmbgError) else f"{type(error).__name__}: {error}"
        return Trial(spec.id, "failed", words)


def _weights_of(spec: BackendSpec, files: Sequence[WeightFile]) -> WeightFile | None:
    mine = (file for file in files if f"local/{file.model}" == spec.id and file.verified)
    return next(mine, None)


def _tried(
    spec: BackendSpec,
    scene: Scene,
    options: Mapping[str, OptionValue],
    settings: Settings,
    host: Host,
) -> Trial:
    image, truth = torch.from_numpy(scene.image), torch.from_numpy(scene.alpha)
    meant = (truth > 0.5).float() if spec.needs_subject else None
    started = time.perf_counter()
    backend = open_backend(spec.id, settings=settings, options=options, host=host)
    try:
        done = cut_out(_NAME, image, backend, settings, meant)
        whole = time.perf_counter() - started
        seconds = done.report.facts.seconds
        if seconds < _QUICK and spec.location == "local":
            again = cut_out(_NAME, image, backend, settings, meant)
            seconds = min(seconds, again.report.facts.seconds)
    finally:
        backend.close()
    agreement, error = iou(done.mask, truth), mean_absolute_error(done.mask, truth)
    right = agreement >= _LEAST_IOU
    facts = done.report.facts
    own = f"{facts.architecture}, {facts.model}" if facts.licence == NOT_ESTABLISHED else ""
    says = facts.notes if right else ("it answers, but its mask is not that of the subject",)
    words = "; ".join(filter(None, (own, *says)))
    return Trial(
        spec.id,
        "works" if right else "wrong",
        words,
        facts.device,
        seconds,
        whole,
        agreement,
        error,
    )


def _processor() -> str:
    """Return the processor's name. On Linux the platform knows only the family."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
