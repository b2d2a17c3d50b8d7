"""Ready-made recipes: what marketplaces ask of a product picture, and a few neutral ones.

A row's numbers are a marketplace's own where it states any, and else ours; `ours` says which. They
change without notice, and categories have rules of their own: the page named is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ...core.errors import BadOption
from ...pictures.formats import FormatId
from .canvas import CanvasSize

Seen = Literal["its own page", "a part of its own page", "as others quote it"]

_READ = "2026-11-21"


@dataclass(frozen=True)
class Preset:
    """One ready-made recipe; most ask for a JPEG of quality 92 on white, 85 % of it filled."""

    name: str
    size: CanvasSize
    purpose: str
    """What it is for, and what the source asks."""
    fill: float = 0.85
    """How much of the canvas the subject takes."""
    background: str = "white"
    format: FormatId = "jpeg"
    quality: int | None = 92
    source: str = ""
    """The page that it was read on, in a stored copy; empty where no marketplace asks for it."""
    read_on: str = ""
    seen: Seen = "as others quote it"
    """Whose page that is, and how much of it was read."""
    ours: tuple[str, ...] = ()
    """The values that the source does not state."""

    def tables(self) -> dict[str, dict[str, object]]:
        """Return the row as a recipe file would say it."""
        size = list(self.size) if isinstance(self.size, tuple) else self.size
        canvas: dict[str, object] = {
            "size": size,
            "fill": self.fill,
            "background": self.background,
            "fit": "subject",
        }
        output: dict[str, object] = {"format": self.format}
        if self.quality is not None:
            output["quality"] = self.quality
        return {"canvas": canvas, "output": output}


_ROWS = (
    Preset(
        name="white-2000",
        size=(2000, 2000),
        purpose="a square product picture on pure white, as most shops take it",
    ),
    Preset(
        name="transparent-square",
        size="square",
        fill=0.9,
        background="transparent",
        format="png",
        quality=None,
        purpose="a square cut-out around the subject, no pixel of it resized",
    ),
    Preset(
        name="amazon",
        size=(2000, 2000),
        fill=0.87,
        purpose="Amazon, main image: pure white, the product fills at least 85 %, JPEG preferred, "
        "1600 pixels or more on the longest side for the zoom",
        source="https://help.e-tailize.com/en/expanding-the-checklist-to-amazon-nl-1",
        read_on=_READ,
        ours=("size", "quality"),
    ),
    Preset(
        name="ebay",
        size=(1600, 1600),
        purpose="eBay: at least 500 pixels on the longest side, no added border, text or watermark",
        source="https://www.ebay.com/help/policies/listing-policies/picture-policy?id=4370",
        read_on=_READ,
        seen="its own page",
        ours=("size", "fill", "background", "format", "quality"),
    ),
    Preset(
        name="google",
        size=(1500, 1500),
        purpose="Google Merchant Center, image_link: 1500 x 1500 pixels or more; as others quote "
        "it, the product takes 75 to 90 % and stands on white or transparent; not enlarged",
        source="https://support.google.com/merchants/answer/6324350",
        read_on=_READ,
        ours=("quality",),
    ),
    Preset(
        name="shopify",
        size=(2048, 2048),
        purpose="Shopify, product media: square pictures look best at 2048 x 2048 pixels; PNG, GIF "
        "or JPEG",
        source="https://shopify.dev/docs/apps/online-store/media/products",
        read_on=_READ,
        seen="a part of its own page",
        ours=("fill", "background", "quality"),
    ),
    Preset(
        name="walmart",
        size=(2200, 2200),
        purpose="Walmart Marketplace: 2200 x 2200 pixels on seamless white (255/255/255), at most "
        "5 MB",
        source="https://marketplacelearn.walmart.com/guides/Item%20setup/Item%20content,%20imagery,"
        "%20and%20media/Product-detail-page:-Image-guidelines-&-requirements",
        read_on=_READ,
        seen="its own page",
        ours=("fill", "quality"),
    ),
    Preset(
        name="zalando",
        size=(1801, 2600),
        purpose="Zalando, first packshot: upright, 1 : 1.44, best at 1801 x 2600 pixels, on white, "
        "JPEG, at most 20 MB",
        source="https://partner.zalando.com/university/article/"
        "visual-content-and-post-production-guide",
        read_on=_READ,
        seen="a part of its own page",
        ours=("fill", "quality"),
    ),
)

PRESETS: Mapping[str, Preset] = {row.name: row for row in _ROWS}


def find_preset(name: str) -> Preset:
    """Return the row of this name. Raises BadOption with the list."""
    row = PRESETS.get(name)
    if row is None:
        raise BadOption(f"There is no preset {name!r}. Choose one of: {', '.join(PRESETS)}.")
    return row
