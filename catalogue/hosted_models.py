"""The hosted models, one row each: what they cost, how much they take at a time, what they keep.

Facts were read in the providers' public documents of 2026; docs/verified.md says which of them no
live call has confirmed. A new model of a provider is one more row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from ..core.specs import BackendSpec, Hosting, Price, Repeatable, Retention
from .hosted_options import ACCOUNT, CLIENT, COMMON, CONTENT_MODERATION, MODERATION, PROMPT

_MB = 1_000_000
_PRICE = Decimal("0.018")

_GUIDED_SECONDS = 17.0


def _unstated(elsewhere: str) -> Price:
    """Make the price of a model of which its host states none."""
    return Price(
        None, "USD", "2026-11", f"{elsewhere}; wavespeed.ai resells it at 0.03 USD", "unknown"
    )


_BRIA = Hosting(
    endpoint="/v2/image/edit/remove_background",
    bases={"api": ("RMBG_BRIA_URL", "https://engine.prod.bria-api.com")},
    in_flight=8,
    # Pay-as-you-go; 10 on the free plan, 1000 for enterprises. Status polls count.
    requests_a_minute=60,
    seconds=3.0,
    # 12 MB is documented for other image endpoints of Bria; base64 makes 4 bytes of 3.
    most_bytes=8_900_000,
    inline_bytes=8_900_000,
    retention=Retention(
        72,
        "results 3 days (your organisation can change it); inputs: not stated",
        "https://docs.bria.ai/getting-started/async-requests",
    ),
    region="not stated",
    key_page="https://platform.bria.ai/console/account/api-keys",
    jobs_page="https://platform.bria.ai/console",
)


def _fal(endpoint: str, marks: str = "") -> Hosting:
    return Hosting(
        endpoint=endpoint,
        bases={
            "queue": ("RMBG_FAL_QUEUE_URL", "https://queue.fal.run"),
            "rest": ("RMBG_FAL_REST_URL", "https://rest.fal.ai"),
            "prices": ("RMBG_FAL_API_URL", "https://api.fal.ai"),
        },
        # A new account runs 2 at a time, later 40; what is over that waits in fal's queue.
        in_flight=8,
        requests_a_minute=600,
        seconds=3.5,
        most_bytes=100 * _MB,
        inline_bytes=7 * _MB,
        # As each request asks.
        retention=Retention(
            24,
            "files are public by URL: inputs above 7 MB for 1 hour, results for 1 day",
            "https://fal.ai/docs/documentation/model-apis/media-expiration.md",
        ),
        region="not stated",
        key_page="https://fal.ai/dashboard/keys",
        jobs_page="https://fal.ai/dashboard",
        marks=marks,
    )


_BRIA_GUIDED = replace(
    _BRIA, endpoint="/v2/image/edit/remove_background/guided", seconds=_GUIDED_SECONDS
)

_REPLICATE = Hosting(
    endpoint="bria/remove-background",
    bases={"api": ("RMBG_REPLICATE_URL", "https://api.replicate.com")},
    in_flight=8,
    # 600 new predictions a minute and 3000 other calls; 6 while the account has little credit.
    requests_a_minute=600,
    seconds=3.0,
    most_bytes=100 * _MB,
    # A data URI is recommended below 1 MB.
    inline_bytes=740_000,
    retention=Retention(
        1,
        "inputs, outputs and logs 1 hour; uploaded files 24 hours",
        "https://replicate.com/docs/topics/predictions/data-retention",
    ),
    region="not stated",
    key_page="https://replicate.com/account/api-tokens",
    jobs_page="https://replicate.com/predictions",
)

_COMFY = Hosting(
    endpoint="bria/image-edit-remove-background",
    bases={"api": ("RMBG_COMFY_URL", "https://api.comfy.org")},
    in_flight=8,
    # No number is documented; an account that sends too much is told how long to wait.
    requests_a_minute=120,
    seconds=3.5,
    # As at Bria, whose request it is.
    most_bytes=8_900_000,
    inline_bytes=8_900_000,
    retention=Retention(
        24,
        "results about 1 day; inputs: not stated",
        "https://docs.comfy.org/development/comfy-router/reference",
    ),
    region="not stated",
    key_page="https://platform.comfy.org/profile/api-keys",
    jobs_page="https://platform.comfy.org/profile/usage",
    repeatable=Repeatable(24),
)

_COMFY_GUIDED = replace(
    _COMFY, endpoint="bria/image-edit-remove-background-guided", seconds=_GUIDED_SECONDS
)

ROWS = (
    BackendSpec(
        id="bria/rmbg-2.0",
        label="Bria API",
        summary="BRIA's own hosted model; licensed for commercial use by your account",
        location="hosted",
        licence="bria-api",
        target="hosted.backend:open_hosted",
        window=12,
        price=Price(
            _PRICE,
            "USD",
            "2026-08-04",
            "https://inference.sh/apps/bria/rmbg.md (reseller)",
            "reseller",
        ),
        key_variables=("BRIA_API_TOKEN", "BRIA_API_KEY"),
        options=(
            *MODERATION,
            *COMMON,
        ),
        hosting=_BRIA,
    ),
    BackendSpec(
        id="bria/rmbg-guided",
        label="Bria API, guided by words",
        summary="BRIA's model that keeps what your words say; not open to every account",
        location="hosted",
        licence="bria-api",
        target="hosted.backend:open_hosted",
        window=12,
        price=_unstated("BRIA's prices were not found"),
        key_variables=("BRIA_API_TOKEN", "BRIA_API_KEY"),
        options=(*MODERATION, *COMMON, PROMPT),
        hosting=_BRIA_GUIDED,
    ),
    BackendSpec(
        id="fal/rmbg-2.0",
        label="fal.ai, RMBG 2.0",
        summary="BRIA's model hosted by fal.ai; licensed for commercial use by your account",
        location="hosted",
        licence="fal-api",
        target="hosted.backend:open_hosted",
        window=12,
        price=Price(_PRICE, "USD", "2026", "https://fal.ai/models/fal-ai/bria/background/remove"),
        key_variables=("FAL_KEY",),
        options=(*COMMON, CLIENT),
        hosting=_fal("fal-ai/bria/background/remove"),
    ),
    BackendSpec(
        id="fal/rmbg-3.0",
        label="fal.ai, RMBG 3.0",
        summary="BRIA's newest model hosted by fal.ai; its pictures carry a watermark and C2PA",
        location="hosted",
        licence="fal-api",
        target="hosted.backend:open_hosted",
        window=12,
        price=Price(
            _PRICE,
            "USD",
            "2026",
            "https://wavespeed.ai/docs/docs-api/bria/remove-background-3.0 (reseller)",
            "reseller",
        ),
        key_variables=("FAL_KEY",),
        options=(*COMMON, CLIENT),
        hosting=_fal("bria/rmbg-3", marks="a watermark and a C2PA manifest"),
    ),
    BackendSpec(
        id="fal/rmbg-guided",
        label="fal.ai, guided by words",
        summary="BRIA's model that keeps what your words say, hosted by fal.ai",
        location="hosted",
        licence="fal-api",
        target="hosted.backend:open_hosted",
        window=12,
        price=_unstated("fal.ai's page was not found; `rmbg costs --live` asks fal.ai"),
        key_variables=("FAL_KEY",),
        options=(*COMMON, CLIENT, PROMPT),
        hosting=replace(_fal("bria/guided-remove-background"), seconds=_GUIDED_SECONDS),
    ),
    BackendSpec(
        id="replicate/rmbg-2.0",
        label="Replicate",
        summary="BRIA's model hosted by Replicate; licensed for commercial use by your account",
        location="hosted",
        licence="replicate-api",
        target="hosted.backend:open_hosted",
        window=12,
        price=Price(
            _PRICE,
            "USD",
            "2026",
            "assumed from resellers; Replicate's page was not read",
            "reseller",
        ),
        key_variables=("REPLICATE_API_TOKEN",),
        options=(
            CONTENT_MODERATION,
            *COMMON,
            CLIENT,
        ),
        hosting=_REPLICATE,
    ),
    BackendSpec(
        id="comfy/rmbg-2.0",
        label="Comfy Router",
        summary="BRIA's model under your Comfy account, each picture billed once; licensed for "
        "commercial use by your account",
        location="hosted",
        licence="comfy-api",
        target="hosted.backend:open_hosted",
        window=12,
        price=Price(
            _PRICE,
            "USD",
            "2026-11",
            "as a reseller's: the badge of ComfyUI's own Bria node; the Router names no prices",
            "reseller",
        ),
        key_variables=("COMFY_API_KEY",),
        options=(ACCOUNT, *MODERATION, *COMMON),
        hosting=_COMFY,
    ),
    BackendSpec(
        id="comfy/rmbg-guided",
        label="Comfy Router, guided by words",
        summary="BRIA's model that keeps what your words say, under your Comfy account, each "
        "picture billed once",
        location="hosted",
        licence="comfy-api",
        target="hosted.backend:open_hosted",
        window=12,
        price=_unstated("the Router names no prices"),
        key_variables=("COMFY_API_KEY",),
        options=(ACCOUNT, *MODERATION, *COMMON, PROMPT),
        hosting=_COMFY_GUIDED,
    ),
)

#: Every variable that replaces a provider's address, with what it replaces.
BASE_VARIABLES: Mapping[str, str] = {
    variable: official
    for row in ROWS
    if row.hosting
    for variable, official in row.hosting.bases.values()
}
