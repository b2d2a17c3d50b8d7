"""The hosted models whose jobs are whole videos, one row each.

They stand beside those of pictures, in no menu of pictures. The hosts' documents state prices apart
from each other, or none: each row says whose its own is, and docs/verified.md what was read where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from ..core.errors import BackendUnknown
from ..core.specs import BackendSpec, Hosting, Option, Price, VideoLimits
from .hosted_models import ROWS

_MB = 1_000_000
_LIMITS = VideoLimits(seconds=60, side=16_000)
# Of a video of some seconds; nothing is documented.
_SECONDS = 40.0
#: Seconds that a job of a video may take.
PATIENCE = 1800.0

#: Codec, as the hosts name it -> the ending of its file. The ones that can hold alpha.
CODECS: Mapping[str, str] = {"webm_vp9": ".webm", "mkv_vp9": ".mkv", "mov_proresks": ".mov"}

_OPTIONS = (
    Option(
        "codec",
        "webm_vp9",
        "What the host writes; it has to hold transparency. The ending of the output file chooses "
        "it (.webm, .mkv, .mov).",
        choices=tuple(CODECS),
    ),
    Option("preserve_audio", True, "Keep the sound in the result."),
    Option(
        "address",
        "",
        "A public https address of this very video, for the host to fetch it from. Empty = it is "
        "uploaded to the host's own storage.",
    ),
    Option(
        "profile",
        "",
        "The name of a set of keys made with `rmbg keys set PROVIDER --profile NAME`. Empty = the "
        "key in the environment, else the default one. Never the key itself.",
    ),
    Option(
        "resubmit",
        False,
        "Pay again for a video whose earlier job was lost and may have been billed, or whose "
        "result cannot be used. Look at your account with the provider first.",
    ),
)


def _hosting(provider: str, endpoint: str, most_bytes: int) -> Hosting:
    """Return what holds for the provider's pictures, with what is another for its videos."""
    pictures = next(row.hosting for row in ROWS if row.provider == provider and row.hosting)
    return replace(
        pictures,
        endpoint=endpoint,
        bases={role: base for role, base in pictures.bases.items() if role != "prices"},
        in_flight=2,
        seconds=_SECONDS,
        most_bytes=most_bytes,
        inline_bytes=0,
        marks="",
        video=_LIMITS,
        patience=PATIENCE,
    )


def _row(provider: str, summary: str, licence: str, price: Price, hosting: Hosting) -> BackendSpec:
    pictures = next(row for row in ROWS if row.provider == provider)
    return BackendSpec(
        id=f"{provider}/video",
        label=f"{pictures.label.partition(',')[0]}, videos",
        summary=summary,
        location="hosted",
        licence=licence,
        target="hosted.video_backend:open_videos",
        window=3,
        price=price,
        key_variables=pictures.key_variables,
        options=_OPTIONS,
        hosting=hosting,
    )


VIDEO_ROWS = (
    _row(
        "bria",
        "BRIA's own hosted model for whole videos, up to 60 seconds; the key of its pictures",
        "bria-api",
        Price(
            Decimal("0.14"),
            "USD",
            "2026-11",
            "https://runware.ai/docs/models/bria-video-background-removal (reseller; Cloudflare "
            "asks 0.0225)",
            "reseller",
            "second",
        ),
        # The upload service's own limit.
        _hosting("bria", "/v2/video/edit/remove_background", 1000 * _MB),
    ),
    _row(
        "fal",
        "BRIA's VRMBG 3.0 hosted by fal.ai for whole videos, up to 60 seconds",
        "fal-api",
        Price(
            Decimal("0.042"),
            "USD",
            "2026-11",
            "https://fal.ai/models/bria/video/background-removal/v3",
            unit="second",
        ),
        # What fal-client uploads in one piece.
        _hosting("fal", "bria/video/background-removal/v3", 100 * _MB),
    ),
    _row(
        "comfy",
        "BRIA's model for whole videos under your Comfy account, each video billed once",
        "comfy-api",
        Price(
            Decimal("0.05"),
            "USD",
            "2026-11",
            "the badge of ComfyUI's own Bria node; the Router names no prices",
            "reseller",
            "second",
        ),
        # No number is documented; Comfy Cloud's own uploads end here.
        _hosting("comfy", "bria/video-edit-remove-background", 200 * _MB),
    ),
)

VIDEO_MODELS: Mapping[str, BackendSpec] = {row.id: row for row in VIDEO_ROWS}


def find_video_model(backend_id: str) -> BackendSpec:
    """Find the row of a model that takes whole videos. Raises BackendUnknown with the list."""
    row = VIDEO_MODELS.get(backend_id)
    if row is None:
        raise BackendUnknown(
            f"There is no model for whole videos {backend_id!r}. Choose one of: "
            f"{', '.join(VIDEO_MODELS)}."
        )
    return row
