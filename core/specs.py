"""What can be said of a backend without importing it: what the catalogue's rows are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

Location = Literal["local", "hosted"]
OptionValue: TypeAlias = "str | int | float | bool"


Origin = Literal["live", "document", "reseller", "setting"]


@dataclass(frozen=True)
class Price:
    """What one picture costs, with where and when that was read.

    origin: told by the provider's own interface, read in its documents or at a reseller, or set by
    the user.
    """

    amount: Decimal
    currency: str
    as_of: str
    source: str
    origin: Origin = "document"

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


@dataclass(frozen=True)
class Option:
    """One setting of a backend: a widget in ComfyUI, a keyword in Python, --option on the command
    line. Its type is its default's type. choices: the allowed texts, if there is a list. limits:
    least, most and step of a whole number. in_nodes: False keeps it out of ComfyUI."""

    name: str
    default: OptionValue
    tooltip: str
    choices: tuple[str, ...] = ()
    limits: tuple[int, int, int] = (0, 0, 1)
    in_nodes: bool = True


@dataclass(frozen=True)
class Retention:
    """How long a provider keeps what it was sent and what it made of it.

    hours: of a result, from the moment its picture was sent. words: all that is known, for people.
    source: where the hours were read.
    """

    hours: int
    words: str
    source: str

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Hosting:
    """What is known of a hosted model besides its price; a new model of a provider is a row.

    endpoint: the model in the provider's own words. bases: the provider's servers by their role,
    each as (environment variable that replaces it, official address). in_flight: jobs at the
    provider at one time. requests_a_minute: API calls, polls among them. seconds: what a job
    usually takes. most_bytes: the largest PNG that is sent; inline_bytes: the largest that
    travels inside the request, larger ones are uploaded first. region: words for people.
    marks: what the provider puts into its pictures beside the result; its file is then kept with
    the alpha.
    """

    endpoint: str
    bases: Mapping[str, tuple[str, str]]
    in_flight: int
    requests_a_minute: int
    seconds: float
    most_bytes: int
    inline_bytes: int
    retention: Retention
    region: str
    key_page: str
    jobs_page: str
    marks: str = ""


@dataclass(frozen=True)
class BackendSpec:
    """One row of the catalogue: everything that can be said of a backend without importing it.

    id: "provider/model", or the provider alone where it has only one. target: "module:function"
    below `backends/`, imported on first use; empty for one that is not opened by id.
    window: how many frames `run` may hold at most, those it works on and those it has pulled ahead
    together. For a hosted backend `licence` names the row of the provider's terms. weights_sha256:
    of the file in use, once a backend with weights is open.
    """

    id: str
    label: str
    summary: str
    location: Location
    licence: str
    target: str
    window: int
    price: Price | None = None
    key_variables: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    hosting: Hosting | None = None
    weights_sha256: str | None = None

    @property
    def sizable(self) -> bool:
        """Tell whether there is an option `resolution`, and so `types.Sizable`."""
        return any(option.name == "resolution" for option in self.options)

    @property
    def provider(self) -> str:
        """Return the part of the id before the slash: what the backend menu shows."""
        return self.id.partition("/")[0]

    @property
    def model(self) -> str:
        """Return the part of the id after the slash; empty for a provider's one nameless model."""
        return self.id.partition("/")[2]
