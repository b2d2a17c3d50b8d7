"""Load RMBG: which backend, and for which use."""

from __future__ import annotations

import asyncio
import logging

from comfy_api.latest import io

from ..catalogue.backends import BACKENDS, DEFAULT_IDS
from ..catalogue.licences import COMMERCIAL_MEANS, LICENCES
from ..core.errors import BadOption
from ..core.money import plain, unconfirmed
from ..core.specs import BackendSpec, Option, OptionValue
from ..core.types import Usage
from .backend_choice import chosen_backend, ready_here
from .comfy_host import ComfyHost
from .widgets import CATEGORY, REMOVER_TYPE

_log = logging.getLogger("rmbg_nodes")


class LoadRmbg(io.ComfyNode):
    """Opens a backend behind the licence gate."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RMBG_Load",
            display_name="Load RMBG",
            category=CATEGORY,
            description="Chooses who removes the background: a model on this machine, a licensed "
            "API, or the keyer, which needs neither weights nor a key. Nothing else in the graph "
            "changes.",
            search_aliases=("background removal model", "bria", "fal", "replicate", "keyer"),
            inputs=[
                io.Combo.Input(
                    "usage",
                    options=("non-commercial", "commercial"),
                    default="non-commercial",
                    tooltip=f"What the pictures are for. {COMMERCIAL_MEANS}",
                ),
                # Last for ever: a DynamicCombo's values are saved by position, inline.
                io.DynamicCombo.Input(
                    "backend",
                    options=[_menu_entry(provider) for provider in DEFAULT_IDS],
                    tooltip=f"local: RMBG on this machine. {_licensed()}: licensed APIs, "
                    f"paid by picture ({_prices()}). keyer: plain backdrops, no weights and no "
                    "key. edges: a rough mask of the subject, fitted to the picture.",
                ),
            ],
            outputs=[
                io.Custom(REMOVER_TYPE).Output(
                    "remover",
                    display_name="remover",
                    tooltip="For Remove Background (RMBG), or for ComfyUI's own Remove Background.",
                )
            ],
        )

    @classmethod
    async def validate_inputs(
        cls,
        usage: Usage | None = None,
        backend: dict[str, OptionValue | None] | None = None,
        **others: object,
    ) -> bool:
        """Refuse before the run what is known to be impossible.

        Raised, not returned: ComfyUI repeats a sentence that is returned for every input, and shows
        it only in its details. `others` makes it hand over the settings below the menu; it then
        checks none of them itself. A value that comes from another node is None, as is one that an
        older prompt does not have: then nothing is known before the run.
        """
        if backend is None or None in backend.values():
            return True
        found = await asyncio.to_thread(ready_here, backend, usage)
        if found.blocked:
            if found.command:  # for those who queue prompts without a page
                _log.warning("The same on the command line: %s", found.command)
            raise BadOption(found.words)
        return True

    @classmethod
    def execute(cls, usage: Usage, backend: dict[str, OptionValue | None]) -> io.NodeOutput:
        from ..pipeline.gate import open_backend
        from .socket import Remover

        if backend.get("download"):
            from .weights_first import fetch_first

            fetch_first(backend, usage)
        backend_id, options = chosen_backend(backend)
        opened = open_backend(backend_id, usage=usage, options=options, host=ComfyHost())
        return io.NodeOutput(Remover(opened, usage))


def _menu_entry(provider: str) -> io.DynamicCombo.Option:
    rows = [row for row in BACKENDS.values() if row.provider == provider]
    inputs = [_model_input(rows)] if rows[0].model else []
    # Options of a provider's models are one list: a model that lacks one is told so when opened.
    options = {option.name: option for row in rows for option in row.options if option.in_nodes}
    return io.DynamicCombo.Option(
        provider, inputs + [_widget(option) for option in options.values()]
    )


def _model_input(rows: list[BackendSpec]) -> io.Input:
    words = [
        f"{row.model}: {row.summary} ({LICENCES[row.licence].name}{_price(row)})" for row in rows
    ]
    return io.Combo.Input(
        "model",
        options=[row.model for row in rows],
        default=rows[0].model,
        tooltip=". ".join(words) + ".",
    )


def _price(row: BackendSpec) -> str:
    """Say the catalogue's price; the user's own may replace it when it is opened."""
    if row.price is None:
        return ""
    if row.price.amount is None:
        return "; price unknown"
    return f"; {'about ' if unconfirmed(row.price) else ''}{row.price} a picture"


def _licensed() -> str:
    return ", ".join(dict.fromkeys(row.provider for row in BACKENDS.values() if row.hosting))


def _prices() -> str:
    """Say the prices from the lowest to the highest; one where they are the same."""
    stated = (row.price.amount for row in BACKENDS.values() if row.price)
    amounts = [amount for amount in stated if amount is not None]
    ends = dict.fromkeys((plain(min(amounts)), plain(max(amounts))))
    return f"about {' to '.join(ends)} USD"


def _widget(option: Option) -> io.Input:
    """Make a menu, a switch, a number or a text, by what the option's default is.

    Optional, so that a prompt saved before the option existed is not refused.
    """
    default = option.default
    if option.choices:
        return io.Combo.Input(
            option.name,
            options=option.choices,
            optional=True,
            default=str(default),
            tooltip=option.tooltip,
        )
    if isinstance(default, bool):
        return io.Boolean.Input(option.name, optional=True, default=default, tooltip=option.tooltip)
    if isinstance(default, str):
        return io.String.Input(
            option.name,
            optional=True,
            default=default,
            multiline=option.instructs,
            tooltip=option.tooltip,
        )
    low, high, step = option.limits
    return io.Int.Input(
        option.name,
        optional=True,
        default=int(default),
        min=low,
        max=high,
        step=step,
        tooltip=option.tooltip,
    )
