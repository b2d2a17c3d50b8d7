"""What can be said of a backend without importing it: what the catalogue's rows are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Literal, TypeAlias

Location = Literal["local", "hosted"]
OptionValue: TypeAlias = "str | int | float | bool"

#: What stands in place of a price, or of a cost, that is not known.
UNKNOWN = "unknown"

Origin = Literal["live", "document", "reseller", "setting", "unknown"]


@dataclass(frozen=True)
class Price:
    """What one picture costs, with where and when that was read."""

    amount: Decimal | None
    """None: it costs something, and nobody has stated how much."""
    currency: str
    as_of: str
    source: str
    origin: Origin = "document"
    """Told by the provider's interface, read in its documents or at a reseller, or the user's."""
    unit: Literal["picture", "second", "video"] = "picture"
    """What it is for: "second" in the row of a model that takes videos, "video" for a whole one."""

    def __str__(self) -> str:
        return UNKNOWN if self.amount is None else f"{self.amount} {self.currency}"

    def of_video(self, seconds: Fraction) -> Price:
        """Return what a video of this length costs, each second that has begun counted."""
        amount = None if self.amount is None else self.amount * ceil(seconds)
        return replace(self, amount=amount, unit="video")


@dataclass(frozen=True)
class Option:
    """One setting of a backend: a widget in ComfyUI, a keyword in Python, --option on the command
    line."""

    name: str
    default: OptionValue
    """Its type is the option's."""
    tooltip: str
    choices: tuple[str, ...] = ()
    """The allowed texts, if there is a list."""
    limits: tuple[int, int, int] = (0, 0, 1)
    """Least, most and step of a whole number."""
    in_nodes: bool = True
    """False keeps it out of ComfyUI."""
    example: str = ""
    """Of words that the model works by: what they may be. Such words must be given, may have
    several lines, and are quoted in receipts; empty for any other option."""

    @property
    def instructs(self) -> bool:
        """Tell whether it is words that the model works by."""
        return bool(self.example)


@dataclass(frozen=True)
class Retention:
    """How long a provider keeps what it was sent and what it made of it."""

    hours: int
    """Of a result, from the moment its picture was sent."""
    words: str
    """All that is known, for people."""
    source: str
    """Where the hours were read."""

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Repeatable:
    """Of a host that takes idempotency keys: one submit and its repetitions are one job, which is
    billed once. So a lost answer is asked for again."""

    hours: float
    """How long the host keeps a key, from the first request that had it."""
    header: str = "Idempotency-Key"


@dataclass(frozen=True)
class VideoLimits:
    """What a model that takes videos takes at most."""

    seconds: int
    """Of one video."""
    side: int
    """Width and height in pixels."""


@dataclass(frozen=True)
class Hosting:
    """What is known of a hosted model besides its price; a new model of a provider is a row."""

    endpoint: str
    """The model in the provider's own words."""
    bases: Mapping[str, tuple[str, str]]
    """The provider's servers by role: (environment variable that replaces it, official address)."""
    in_flight: int
    """Jobs at the provider at one time."""
    requests_a_minute: int
    """API calls, polls among them."""
    seconds: float
    """What a job usually takes."""
    most_bytes: int
    """The largest PNG, or video file, that is sent."""
    inline_bytes: int
    """The largest that travels inside the request; larger ones are uploaded first."""
    retention: Retention
    region: str
    """Words for people."""
    key_page: str
    jobs_page: str
    marks: str = ""
    """What the provider puts into its pictures; its file is then kept with the alpha."""
    repeatable: Repeatable | None = None
    """None: a submit whose answer was lost may have been billed, and is not sent again."""
    video: VideoLimits | None = None
    """Of a model whose jobs are whole videos; None for one that takes pictures."""
    patience: float = 300.0
    """Seconds that one job may take before it is left to be resumed."""


@dataclass(frozen=True)
class BackendSpec:
    """One row of the catalogue: everything that can be said of a backend without importing it."""

    id: str
    """"provider/model", or the provider alone where it has only one."""
    label: str
    summary: str
    location: Location
    licence: str
    """For a hosted backend, the row of the provider's terms."""
    target: str
    """"module:function" below `backends/`, imported on first use; empty for one not opened by
    id."""
    window: int
    """How many frames `run` may hold at most, those it works on and those pulled ahead together."""
    price: Price | None = None
    key_variables: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    hosting: Hosting | None = None
    needs_subject: bool = False
    """It cuts out along the mask of the subject that each picture comes with."""
    weights_sha256: str | None = None
    """Of the file in use, once a backend with weights is open."""

    @property
    def media(self) -> Literal["picture", "video"]:
        """Return what one job of it is about."""
        return "video" if self.hosting and self.hosting.video else "picture"

    @property
    def instruction(self) -> Option | None:
        """Return the option for the words that the model works by; None where it takes none."""
        return next((option for option in self.options if option.instructs), None)

    @property
    def sizable(self) -> bool:
        """Tell whether there is an option `resolution`, and so `types.Sizable`."""
        return any(option.name == "resolution" for option in self.options)

    @property
    def key_page(self) -> str:
        """Where keys are made; empty for a backend that needs none."""
        return self.hosting.key_page if self.hosting else ""

    @property
    def provider(self) -> str:
        """Return the part of the id before the slash: what the backend menu shows."""
        return self.id.partition("/")[0]

    @property
    def model(self) -> str:
        """Return the part of the id after the slash; empty for a provider's one nameless model."""
        return self.id.partition("/")[2]
