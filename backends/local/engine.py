"""RMBG on the user's own machine: batches on the device, memory that stays flat, Cancel inside."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import torch
from torch import Tensor, nn

from ...core.errors import BackendFailed, BadOption, WeightsMissing
from ...core.types import (
    BackendSpec,
    Facts,
    Failure,
    Frame,
    Host,
    Job,
    Matte,
    OptionValue,
    Outcome,
    Resident,
)
from ...settings import read_settings
from .detect import network_from_state_dict
from .files import read_state_dict
from .find import Found, find_weights
from .fuse import inference_copy
from .recipe import Recipe, prepare, recipe_of, stretch
from .released import rows_of
from .weights import fetch

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SMALLEST, LARGEST, STEP = 256, 2560, 32


def open_local(
    spec: BackendSpec,
    host: Host,
    *,
    resolution: OptionValue,
    precision: OptionValue,
    weights: OptionValue,
    download: OptionValue,
) -> LocalBackend:
    """Find the weights and make a backend of them; nothing is loaded before the first picture.

    resolution: the side of the model's square, 0 for the model's own. precision: "auto" or a name
    of PRECISIONS. weights: a file, or "" to look for the released one. download: fetch the released
    file when it is not found; switching it on accepts its licence.

    Raises WeightsMissing, WeightsUnusable, Offline or BadOption.
    """
    side = int(resolution)
    if side and (not SMALLEST <= side <= LARGEST or side % STEP):
        raise BadOption(
            f"The resolution is {side}; it must be a multiple of {STEP} from {SMALLEST} to "
            f"{LARGEST}, or 0 for the model's own."
        )
    found = _found(spec.model, host, str(weights), may_download=bool(download))
    return LocalBackend(replace(spec, licence=found.licence), host, found, side, str(precision))


def _found(model: str, host: Host, path: str, *, may_download: bool) -> Found:
    try:
        return find_weights(model, host, path=path)
    except WeightsMissing:
        if path or not may_download:
            raise
    row = rows_of(model)[0]
    offline = read_settings().offline
    fetch(row, host.model_folders()[0], host.data_folder(), accepted=True, offline=offline)
    return find_weights(model, host)


@dataclass
class _Loaded:
    """A network where the host keeps it, and how it is fed."""

    resident: Resident
    recipe: Recipe
    side: int
    dtype: torch.dtype

    @property
    def bytes_each(self) -> int:
        """Working memory of a forward for one picture."""
        share = self.dtype.itemsize / torch.float32.itemsize
        return int(self.side * self.side * self.recipe.bytes_per_pixel * share)


class LocalBackend:
    """One network; answers logits (RMBG-2.0) or its card's alpha (RMBG-1.4) at the model's size."""

    def __init__(
        self, spec: BackendSpec, host: Host, found: Found, side: int, precision: str
    ) -> None:
        self.spec = spec
        self._host = host
        self._found = found
        self._side = side
        self._precision = precision
        self._chunk = spec.window
        self._loaded: _Loaded | None = None

    def work(self, frame: Frame) -> str | None:
        return None

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        job.check()
        if self._loaded is None:
            self._loaded = self._load(self._precision)
            self._chunk = min(self.spec.window, self._host.room(self._loaded.bytes_each))
        source = iter(frames)
        while chunk := list(islice(source, self._chunk)):
            for outcome in self._answers(chunk, self._loaded, job):
                job.step(1)
                yield outcome
            job.check()

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded.resident.release()
            self._loaded = None

    def _load(self, precision: str) -> _Loaded:
        released = self._found.released
        options = {} if released is None else {"patch_order": released.patch_order}
        network = network_from_state_dict(read_state_dict(self._found.path), **options)
        dtype = self._host.precision() if precision == "auto" else PRECISIONS[precision]
        recipe = recipe_of(network)
        side = self._side or recipe.resolution
        resident = self._host.adopt(inference_copy(network, dtype=dtype))
        return _Loaded(resident, recipe, side, dtype)

    def _answers(self, chunk: list[Frame], loaded: _Loaded, job: Job) -> Iterator[Outcome]:
        """The chunk's outcomes; when memory runs out, in halves, and so from then on."""
        started = time.perf_counter()
        try:
            logits, device = self._forward(chunk, loaded, job)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            logits = None
        if logits is None:  # outside of the handler, so that its traceback holds no tensors
            self._host.free_memory()
            if len(chunk) == 1:
                yield Outcome(chunk[0].index, Failure(self._too_large(chunk[0], loaded)))
                return
            self._chunk = (len(chunk) + 1) // 2
            while chunk:
                part, chunk = chunk[: self._chunk], chunk[self._chunk :]
                yield from self._answers(part, loaded, job)
            return
        seconds = (time.perf_counter() - started) / len(chunk)
        for frame, values in zip(chunk, logits, strict=True):
            yield Outcome(frame.index, self._matte(frame, values, device, seconds, loaded, job))

    def _forward(
        self, chunk: list[Frame], loaded: _Loaded, job: Job
    ) -> tuple[Tensor, torch.device]:
        """(B, h, w) float32 logits on the device."""
        network = loaded.resident.on_device(loaded.bytes_each * len(chunk))
        device = next(network.parameters()).device
        batch = prepare([frame.pixels for frame in chunk], loaded.side, loaded.recipe, device)
        with torch.no_grad(), cancellable(network, job):
            logits: Tensor = network(batch)
        return logits[:, 0], device

    def _matte(
        self,
        frame: Frame,
        values: Tensor,
        device: torch.device,
        seconds: float,
        loaded: _Loaded,
        job: Job,
    ) -> Matte | Failure:
        notes: tuple[str, ...] = ()
        if not bool(values.isfinite().all()) and loaded.dtype != torch.float32:
            # Half precision overflowed on this picture: a NaN is not an answer, float32 is.
            loaded = self._loaded = self._in_full_precision(loaded)
            redone, device = self._forward([frame], loaded, job)
            values = redone[0]
            notes = ("half precision overflowed, so float32 was used",)
        kind: Literal["logits", "alpha"] = "logits"
        if loaded.recipe.stretched:
            values, kind = stretch(values.sigmoid()), "alpha"
        released = self._found.released
        facts = Facts(
            backend=self.spec.id,
            model=released.name if released else self._found.path.name,
            licence=self.spec.licence,
            device=f"{device}, {str(loaded.dtype).removeprefix('torch.')}",
            seconds=seconds,
            weights_sha256=self._found.sha256,
            notes=notes,
        )
        return Matte(values, kind, facts)

    def _in_full_precision(self, loaded: _Loaded) -> _Loaded:
        loaded.resident.release()
        return self._load("float32")

    def _too_large(self, frame: Frame, loaded: _Loaded) -> BackendFailed:
        return BackendFailed(
            f"{frame.name}: there is not enough memory for one picture at resolution "
            f"{loaded.side} in {str(loaded.dtype).removeprefix('torch.')}. Lower the resolution, "
            "choose half precision, or close what else uses the device."
        )


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA has a class of its own; MPS and the CPU say it in words."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return "out of memory" in words or "can't allocate memory" in words


@contextmanager
def cancellable(network: nn.Module, job: Job) -> Iterator[None]:
    """Ask for Cancel before every block of a forward, which may take half a minute on a CPU."""

    def before(_module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        job.check()

    blocks = [module for module in network.modules() if next(module.children(), None) is not None]
    handles = [block.register_forward_pre_hook(before) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
