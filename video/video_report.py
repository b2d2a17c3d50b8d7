"""What the user reads about one video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.money import cost_text, with_currency
from ..core.report import JsonValue
from ..core.types import Facts


@dataclass(frozen=True)
class VideoReport:
    """What became of one video."""

    path: Path
    """The file, or the folder of a sequence."""
    matte: Path | None
    """The video of the matte; None where none was asked for."""
    frames: int
    earlier: int
    """How many of them an earlier run had made."""
    empty: int
    """How many have nothing of a subject."""
    width: int
    height: int
    seconds: float
    """How long the result lasts."""
    decoded_sha256: str
    """Of all frames as they came in."""
    written_sha256: str
    """Of all frames as they went to the encoder."""
    ground: str
    """Why this use is allowed."""
    licence_name: str
    facts: Facts
    """The backend's own, seconds and cost of all frames and all runs together."""
    warnings: tuple[str, ...] = ()
    receipt: str | None = None
    """The id of its receipt; None when none was kept."""

    def text(self) -> str:
        """Write a few lines for people."""
        facts = self.facts
        where = "were sent to the provider" if facts.left_machine else "stayed on this machine"
        earlier = f", {self.earlier} of them made by an earlier run" if self.earlier else ""
        lines = [
            f"{self.path}: {self.frames} frames{earlier}, {self.width} x {self.height}, "
            f"{self.seconds:.2f} s; {facts.backend} ({facts.model}) on {facts.device}",
            f"Licence: {self.licence_name}; {self.ground}",
            f"Cost: {with_currency(facts.cost, facts.currency)}; the frames {where}.",
        ]
        lines += [f"Receipt: {self.receipt}."] if self.receipt else []
        return "\n".join([*lines, *(f"Warning: {words}." for words in self.warnings)])

    def data(self) -> dict[str, JsonValue]:
        """Return the same for programs."""
        facts = self.facts
        return {
            "output": str(self.path),
            "matte": None if self.matte is None else str(self.matte),
            "frames": self.frames,
            "frames_earlier": self.earlier,
            "frames_empty": self.empty,
            "width": self.width,
            "height": self.height,
            "seconds": self.seconds,
            "decoded_sha256": self.decoded_sha256,
            "written_sha256": self.written_sha256,
            "backend": facts.backend,
            "model": facts.model,
            "licence": facts.licence,
            "ground": self.ground,
            "device": facts.device,
            "backend_seconds": round(facts.seconds, 3),
            "cost": cost_text(facts.cost),
            "currency": facts.currency,
            "left_machine": facts.left_machine,
            "warnings": [*self.warnings],
            "receipt": self.receipt,
        }
