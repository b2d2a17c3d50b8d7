"""RMBG on the user's own machine: batches on the device, memory that stays flat, Cancel inside."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

import torch
from torch import Tensor

from ...core.errors import BackendFailed, BackendMissing, WeightsMissing
from ...core.specs import BackendSpec, OptionValue
from ...core.types import Facts, Failure, Frame, Host, Job, Matte, Outcome, Resident
from .at_size import Resized, side_of
from .detect import architecture_of, network_from_state_dict
from .files import read_state_dict
from .find import Found, find_weights, spec_of
from .forwards import cancellable, is_out_of_memory
from .fuse import inference_copy
from .networks.birefnet import BiRefNet, PatchOrder
from .order_trial import set_order, trial_of
from .patch_orders import NO_TRIAL, OrderTrial, remember_trial, remembered_trial
from .precision import check_precision, dtype_of, less_memory
from .preprocess import Recipe, prepare, recipe_of, stretch
from .released import rows_of
from .verify import HeldFile
from .weights import fetch

_OVERFLOW = "half precision overflowed on a picture, so float32 is used"
_FLAT = "the model sees the whole picture alike: no subject found"


def open_local(
    spec: BackendSpec,
    host: Host,
    *,
    resolution: OptionValue,
    precision: OptionValue,
    weights: OptionValue,
    download: OptionValue,
    patch_order: OptionValue,
) -> LocalBackend:
    """Find the weights and make a backend of them; nothing is loaded before the first picture.

    resolution: the side of the model's square, 0 for the model's own. precision: "auto" or a name
    of PRECISIONS. weights: a file, or "" to look for the released one. download: fetch the released
    file when it is not found; switching it on accepts its licence. patch_order: "auto", or that of
    BiRefNet weights of the user's own; auto is that of the released file, and for one that is in no
    table what a trial shows.

    Raises WeightsMissing, WeightsUnusable, Offline or BadOption.
    """
    side = side_of(int(resolution))
    check_precision(str(precision), host)
    found = _found(spec.model, host, str(weights).strip(), may_download=bool(download))
    order = next((known for known in get_args(PatchOrder) if known == patch_order), None)
    return LocalBackend(spec_of(spec, found), host, found, side, str(precision), order)


def _found(model: str, host: Host, path: str, *, may_download: bool) -> Found:
    try:
        return find_weights(model, host, path=path)
    except WeightsMissing:
        if path or not may_download:
            raise
    row = rows_of(model)[0]
    # RMBG_OFFLINE has taken the switch back before this (pipeline/gate.py).
    fetch(row, host.model_folders()[0], host.data_folder(), accepted=True, offline=False)
    return find_weights(model, host)


@dataclass
class _Loaded:
    """A network where the host keeps it, its file, and how it is fed."""

    resident: Resident
    file: HeldFile
    architecture: str
    recipe: Recipe
    own_side: int
    """Of the square that these weights were trained at."""
    side: int
    dtype: torch.dtype
    undecided: bool
    """Nothing has told the patch order yet."""

    @property
    def bytes_each(self) -> int:
        """Return the working memory of a forward for one picture."""
        share = self.dtype.itemsize / torch.float32.itemsize
        return int(self.side * self.side * self.recipe.bytes_per_pixel * share)


@dataclass
class _Answer:
    """What a network said of a chunk of pictures."""

    logits: Tensor
    """(B, h, w) float32 on the device."""
    finite: list[bool]
    """For each picture, whether all of it is."""
    device: torch.device


class LocalBackend:
    """One network; answers logits (RMBG-2.0) or its card's alpha (RMBG-1.4) at the model's size."""

    def __init__(
        self,
        spec: BackendSpec,
        host: Host,
        found: Found,
        side: int,
        precision: str,
        order: PatchOrder | None,
    ) -> None:
        self.spec = spec
        self._host = host
        self._found = found
        self._side = side
        self._precision = precision
        self._order = order
        self._trial: OrderTrial | None = None
        self._overflowed = False
        self._chunk = 0
        self._asked = side
        self._loaded: _Loaded | None = None

    def work(self, frame: Frame) -> str | None:
        return None

    def at(self, resolution: int) -> Resized:
        """Return this backend, loaded once, on squares of another side; 0 is the model's own."""
        return Resized(self, side_of(resolution))

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        return self.run_at(self._side, frames, job)

    def run_at(self, side: int, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        """Do as `run` does, on squares of this side, 0 for the model's own."""
        job.check()
        source = iter(frames)
        self._asked = side
        self._chunk = 0  # what else is on the device may have changed since the last run
        while (first := next(source, None)) is not None:
            self._settle_order(self._ready(), job)
            chunk = [first, *islice(source, self._chunk - 1)]
            for outcome in self._answers(chunk, job):
                job.step(1)
                yield outcome
            job.check()

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded.resident.release()
            self._loaded.file.close()
            self._loaded = None

    def _ready(self) -> _Loaded:
        """Load the network when it is not, and set how many pictures go through it at a time."""
        if self._loaded is None:
            self._loaded = self._load(self._precision)
            self._chunk = 0
        self._loaded.side = self._asked or self._loaded.own_side
        if not self._chunk:
            room = self._host.room(self._loaded.bytes_each)
            self._chunk = min(self.spec.window, room)
        return self._loaded

    def _load(self, precision: str) -> _Loaded:
        file = HeldFile(self._found.path, self._found.sha256, self._host.data_folder())
        order = self._known_order()
        options = {"patch_order": order} if order else {}
        dtype = dtype_of(precision, self._host)
        try:
            network = network_from_state_dict(read_state_dict(file.path), **options)
            file.check_name()
            recipe = recipe_of(network)
            resident = self._host.adopt(inference_copy(network, dtype=dtype))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise BackendMissing(
                f"There is not enough memory to load {self._found.path.name}. "
                f"{less_memory(dtype, self._host, half=not self._overflowed)}"
            ) from error
        released, architecture = self._found.released, architecture_of(network)
        side = (released.resolution if released else 0) or recipe.resolution
        undecided = isinstance(network, BiRefNet) and order is None
        return _Loaded(resident, file, architecture, recipe, side, side, dtype, undecided)

    def _known_order(self) -> PatchOrder | None:
        """Return the patch order that the user, the table or an earlier trial says."""
        if self._order:
            return self._order
        if self._found.released:
            return self._found.released.patch_order
        self._trial = self._trial or remembered_trial(self._found.sha256, self._host.data_folder())
        return self._trial.order if self._trial else None

    def _settle_order(self, loaded: _Loaded, job: Job) -> None:
        """Try both patch orders where nothing tells, once for a file."""
        if not loaded.undecided:
            return
        side = min(loaded.side, loaded.recipe.resolution)
        try:
            trial = trial_of(loaded.resident, loaded.recipe, side, loaded.bytes_each, job)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self._host.free_memory()
            trial = NO_TRIAL
        loaded.file.check()  # the trial was of the file that was judged
        set_order(loaded.resident.on_device(loaded.bytes_each), trial.order)
        self._trial, loaded.undecided = trial, False
        if any(trial.scores.values()):  # neither failed nor overflowed
            remember_trial(self._found.sha256, trial, self._host.data_folder())

    def _answers(self, chunk: list[Frame], job: Job) -> Iterator[Outcome]:
        """Yield the chunk's outcomes. When memory runs out it goes on in halves, and so from then
        on; what overflows in half precision is done again in float32, and so from then on."""
        loaded = self._ready()
        started = time.perf_counter()
        answer: _Answer | None = None
        try:
            answer = self._forward(chunk, loaded, job)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        if answer is None:  # outside of the handler, so that its traceback holds no tensors
            self._host.free_memory()
            if len(chunk) == 1:
                yield Outcome(chunk[0].index, Failure(self._too_large(chunk[0], loaded)))
                return
            self._chunk = (len(chunk) + 1) // 2
            while chunk:
                part, chunk = chunk[: self._chunk], chunk[self._chunk :]
                yield from self._answers(part, job)
            return
        seconds = (time.perf_counter() - started) / len(chunk)
        again: list[Frame] = []
        for frame, values, finite in zip(chunk, answer.logits, answer.finite, strict=True):
            if finite or loaded.dtype == torch.float32:
                matte = self._matte(values.clone(), answer.device, seconds, loaded)
                yield Outcome(frame.index, matte)
            else:
                again.append(frame)
        if again:
            if self._precision != "float32":
                self._precision, self._overflowed = "float32", True
                self.close()
            for frame in again:
                yield from self._answers([frame], job)

    def _forward(self, chunk: list[Frame], loaded: _Loaded, job: Job) -> _Answer:
        network = loaded.resident.on_device(loaded.bytes_each * len(chunk))
        device = next(network.parameters()).device
        batch = prepare([frame.pixels for frame in chunk], loaded.side, loaded.recipe, device)
        with torch.no_grad(), cancellable(network, job):
            logits: Tensor = network(batch)[:, 0]
        # Reading this back waits for the device, so that the seconds are those of the work.
        finite: list[bool] = logits.flatten(1).isfinite().all(dim=1).tolist()
        loaded.file.check()  # what is answered came from the file whose licence was judged
        return _Answer(logits, finite, device)

    def _matte(
        self, values: Tensor, device: torch.device, seconds: float, loaded: _Loaded
    ) -> Matte:
        notes: tuple[str, ...] = (_OVERFLOW,) if self._overflowed else ()
        notes += (self._trial.words,) if self._trial and not self._order else ()
        kind: Literal["logits", "alpha"] = "logits"
        if loaded.recipe.stretched:
            alpha = values.sigmoid()
            values, kind = stretch(alpha), "alpha"
            notes += (_FLAT,) if values is alpha else ()
        released = self._found.released
        facts = Facts(
            backend=self.spec.id,
            model=released.name if released else self._found.path.name,
            licence=self.spec.licence,
            device=f"{device}, {str(loaded.dtype).removeprefix('torch.')}",
            seconds=seconds,
            weights_sha256=self._found.sha256,
            architecture=loaded.architecture,
            notes=notes,
        )
        return Matte(values, kind, facts)

    def _too_large(self, frame: Frame, loaded: _Loaded) -> BackendFailed:
        half = not self._overflowed
        return BackendFailed(
            f"{frame.name}: there is not enough memory for one picture at resolution "
            f"{loaded.side} in {str(loaded.dtype).removeprefix('torch.')}. "
            f"{less_memory(loaded.dtype, self._host, 'lower the resolution', half=half)}"
        )
