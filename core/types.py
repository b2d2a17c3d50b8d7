"""The contract between the pipeline and its backends: plain data and protocols.

Protocols, not base classes: ComfyUI loads this package by path, so the same class can exist twice
in one process, and `isinstance` across the two would be false. The rules that no signature can
state stand in the docstrings of `Backend.run` and `Job`; `tests/conformance.py` holds every
backend to them.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from .errors import PictureError
from .repeat import Repeat
from .specs import BackendSpec, Price
from .tickets import Claim as Claim
from .tickets import Ticket as Ticket

if TYPE_CHECKING:  # facts about backends are read without waiting for torch
    import torch
    from torch import Tensor, nn

Usage = Literal["non-commercial", "commercial"]


@dataclass(frozen=True)
class Frame:
    """One picture on its way to a backend."""

    index: int
    """The caller's number for it, unique within one run; the Outcome carries it back."""
    pixels: Tensor
    """(H, W, 3) float32, straight RGB in 0..1, sRGB-encoded; never written to."""
    name: str
    """What messages call it ("image 3", "shoe.jpg")."""
    subject: Tensor | None = None
    """(H, W) float32 in 0..1, 1 = what is meant, roughly; only for a backend that asks for it."""

    def digest(self) -> str:
        """Return the sha256 of the size and of the pixels rounded to 16 bits."""
        levels = (self.pixels.detach().clamp(0, 1) * 65535).round().cpu().numpy().astype("<u2")
        header = "x".join(str(side) for side in self.pixels.shape).encode()
        return hashlib.sha256(header + b":" + levels.tobytes()).hexdigest()


@dataclass(frozen=True)
class Facts:
    """What a backend says about one delivered matte; the report and the receipt are made of it."""

    backend: str
    model: str
    licence: str
    device: str
    seconds: float
    cost: Decimal | None = Decimal(0)
    """None: it was paid for, and nobody has stated the price."""
    currency: str = "USD"
    left_machine: bool = False
    weights_sha256: str | None = None
    request_id: str | None = None
    notes: tuple[str, ...] = ()
    architecture: str = ""
    """Of a local network, as its authors call it; empty where there is none to tell."""


@dataclass(frozen=True)
class Matte:
    """A backend's answer for one frame, as the model gave it."""

    values: Tensor
    """(h, w) float32 on any device, at the model's own size or the frame's."""
    kind: Literal["logits", "alpha"]
    """"logits" (any real number, alpha is their sigmoid) or "alpha" (0..1, 1 = subject)."""
    facts: Facts
    original: bytes | None = None
    """The provider's own file, where it says more than the alpha (a C2PA manifest)."""
    screen: Tensor | None = None
    """(h, w, 3) float32, sRGB in 0..1, over the whole frame at any size: the colours of a green or
    blue screen behind the subject, where the backend measured one. Its light is on the subject,
    too, and `cutout` takes it out."""


@dataclass(frozen=True)
class Clip:
    """A video model's answer for one video: a file on this disk, as the host gave it."""

    path: Path
    """It may go on after `size` bytes, with what the cache has to say of it."""
    size: int
    """In bytes."""
    sha256: str
    """Of those bytes, in hexadecimal."""
    facts: Facts


@dataclass(frozen=True)
class Failure:
    """One picture that could not be delivered."""

    error: PictureError
    request_id: str | None = None
    """Names paid work when there is any."""
    cost: Decimal | None = Decimal(0)
    """What was paid for it all the same, in the currency of the backend's price; None: not
    known."""


@dataclass(frozen=True)
class Outcome:
    """What became of the frame with this index."""

    index: int
    result: Matte | Clip | Failure
    """A Clip only of a model that takes videos, for which no `Backend.run` yields."""

    @property
    def error(self) -> PictureError | None:
        """Return why there is no matte; None when there is one. Holds for an Outcome of this
        package's other identity, too, where `isinstance` does not."""
        return getattr(self.result, "error", None)


class Job:
    """What the caller lends to a run: progress, Cancel, money, and the memory of paid work.

    Every method has a default that does nothing, so `Job()` is a complete job for work that costs
    nothing. `work` is the string of `Backend.work`. The order for one paid picture is

        known -> reserve -> sending -> submitted -> settled

    and each call returns only when what it says is durable, because the process may be killed
    between any two of them. After `sending` without `submitted` the picture may have been billed;
    where the host takes idempotency keys, `repeatable` comes before `sending` and `addressed` after
    it, and the submit is repeated instead.
    """

    def check(self) -> None:
        """Raise Cancelled when the user has stopped the run. Cheap; call it in every wait (each
        0.1 s), between pictures and inside long forwards."""

    def step(self, done: int) -> None:
        """Note that `done` more pictures have their outcome."""

    def reserve(self, work: str, price: Price) -> None:
        """Set the price aside, or raise OverBudget; called before anything is sent.

        Raises a PictureError when that cannot be noted: nothing of this picture may be sent.
        """

    def repeatable(self, work: str, repeat: Repeat) -> None:
        """Keep what it takes to repeat the submit of this work, from the next `sending` until it
        has an id or is settled.

        Raises a PictureError when it cannot be kept: nothing may be sent.
        """

    def addressed(self, work: str, url: str) -> None:
        """Note where the submit goes, before its bytes leave. Raises a PictureError when that
        cannot be noted: nothing may be sent."""

    def picture_sent(self, work: str) -> str | None:
        """Return the `Repeat.picture` of work that can be repeated; None where it is gone."""
        return None

    def sending(self, work: str) -> None:
        """Note that the submit's bytes are about to leave.

        Raises a PictureError when that cannot be noted, or another run was quicker: nothing may be
        sent, and the picture is settled with it.
        """

    def submitted(self, work: str, ticket: Ticket) -> None:
        """Note that the provider accepted the work under this ticket; called before the first poll.

        Raises MayBeBilled when this id stands for other work: this one counts as lost then.
        """

    def known(self, work: str) -> Ticket | None:
        """Return the ticket of work sent earlier and never settled: to be resumed, not paid again.

        Raises a PictureError when the work cannot be looked up or is being sent by another process
        at this moment.
        """
        return None

    def place(self, work: str) -> Path:
        """Return where the file of this work's result can be written: a new name, in a folder that
        is there. What is left there belongs to the caller. Raises OSError."""
        return Path(tempfile.mkdtemp(prefix="rmbg-")) / "result"

    def signed_in(self) -> str:
        """Return the credential of whoever is signed in where this runs, for the header of a
        request alone; empty where nobody is."""
        return ""

    def is_foreign(self, work: str, names: Collection[str]) -> bool:
        """Tell whether one of these names is the id of other work at the same provider."""
        return False

    def settled(self, work: str, outcome: Outcome) -> None:
        """Note that the work has its outcome. A Matte or Clip was paid for; of a Failure,
        `error.paid` says what became of the money, and only "no" frees what was reserved."""


class Backend(Protocol):
    """Anything that turns frames into mattes."""

    @property
    def spec(self) -> BackendSpec: ...

    def work(self, frame: Frame) -> str | None:
        """Return the identity of the paid work for this frame: pixels, model and the parameters
        that are sent, never a local option, a seed or a file name. None when the work costs
        nothing."""

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        """Yield exactly one Outcome for every frame pulled, as they complete, in any order.

        - Frames are pulled lazily; never are more than `spec.window` of them without an outcome.
        - A picture that fails is a Failure; only Cancelled and Refusals are raised.
        - Before a Refusal is raised, the outcome of everything already submitted is yielded:
          what is paid for is delivered. Cancelled is raised at once; tickets keep the paid work.
        - `job.step` and, for paid work, `job.settled` come before the outcome is yielded.
        - Closing the iterator early leaves no thread, socket or tensor of this run behind.
        - Frames are never written to; a Backend may be run again, and by two threads in turn.
        """

    def close(self) -> None:
        """Give back what the backend holds. Calling it twice is harmless."""


class Resumable(Protocol):
    """A backend whose paid work can be fetched by ticket."""

    def resume(self, claims: Iterable[Claim], job: Job) -> Iterator[Outcome]:
        """Yield one Outcome for every claim, as `Backend.run` does for frames."""


class Sizable(Protocol):
    """A backend with an option `resolution`: the side of the square that its model works on."""

    def at(self, resolution: int) -> Backend:
        """Return this backend at another resolution in pixels, nothing loaded twice. Raises
        BadOption for a size that the model cannot have."""


class Host(Protocol):
    """The machine as its program sees it: ComfyUI's folders inside ComfyUI, plain ones outside.

    Folders need not exist.
    """

    def model_folders(self) -> Sequence[Path]:
        """Return where weights may lie, in search order; fetched files go into the first."""

    def data_folder(self) -> Path:
        """Return where this package keeps what it wants to remember."""

    def precision(self) -> torch.dtype:
        """Return what a network computes in on this host's device when the user does not choose."""

    def slowdown(self, dtype: torch.dtype) -> float:
        """Return how many times as long as in float32 a small product takes in `dtype` on this
        host's device; 1 where that is no CPU, which is not timed."""

    def room(self, bytes_each: int) -> int:
        """Tell how many pictures of this much working memory go side by side; at least one."""

    def adopt(self, network: nn.Module) -> Resident:
        """Take a network into this host's memory management."""

    def free_memory(self) -> None:
        """Give cached device memory back, after an allocation failed."""


class Resident(Protocol):
    """A network whose place the host decides."""

    def on_device(self, working_bytes: int) -> nn.Module:
        """Move the network to the computing device, with about this much memory free beside it."""

    def release(self) -> None:
        """Keep nothing of the network on the device; it may be asked for again."""
