"""One row per backend and model: the only place where one is added.

Menus, the gate, `rmbg backends`, the README and tests read these rows. Nothing here imports a
backend; the gate does, when one is opened.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from ..core.errors import BackendUnknown, BadOption
from ..core.specs import BackendSpec, Option, OptionValue
from . import hosted_models as hosted_rows
from .hosted_videos import VIDEO_MODELS

_LOCAL_OPTIONS = (
    Option(
        "resolution",
        0,
        "The side of the square that the model works on, a multiple of 32. 0 = the model's own "
        "(1024 for most). Larger finds finer detail, needs more memory, and is not what it was "
        "trained at.",
        limits=(0, 2560, 32),
    ),
    Option(
        "precision",
        "auto",
        "auto: half precision where the device is fast in it, float32 on a CPU. Half precision on "
        "a CPU that is slower in it is refused; `rmbg doctor` says which is.",
        choices=("auto", "float32", "float16", "bfloat16"),
    ),
    Option(
        "weights",
        "",
        "A weight file of your own. Empty = the released file, looked for in the model folders. "
        "The licence of an unknown file counts as non-commercial.",
    ),
    Option(
        "download",
        False,
        "Download the released weights if they are not found. Switching this on says that you "
        "accept their licence; RMBG-2.0 also needs HF_TOKEN. It takes minutes of the run; in "
        "ComfyUI Cancel ends it, and what has arrived is kept.",
    ),
    Option(
        "patch_order",
        "auto",
        "For BiRefNet weights of your own: c hg wg if they were trained after November 2024, else "
        "wg hg c. Nothing in a file tells. auto: as the released file needs it; of your own file "
        "both are tried once, on two photographs, and the report says which was taken.",
        choices=("auto", "wg hg c", "c hg wg"),
    ),
)

_ROWS = (
    BackendSpec(
        id="local/rmbg-2.0",
        label="RMBG-2.0 on this machine",
        summary="BRIA's current model (BiRefNet); free for non-commercial use",
        location="local",
        licence="bria-rmbg-2.0",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/rmbg-1.4",
        label="RMBG-1.4 on this machine",
        summary="BRIA's smaller, older model (IS-Net); free for non-commercial use",
        location="local",
        licence="bria-rmbg-1.4",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/birefnet",
        label="BiRefNet on this machine",
        summary="the architecture of RMBG-2.0 with MIT-licensed weights",
        location="local",
        licence="birefnet-mit",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/isnet",
        label="IS-Net on this machine",
        summary="rembg's isnet-general-use: RMBG-1.4's network with its authors' weights",
        location="local",
        licence="isnet-dis",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/birefnet-hr",
        label="BiRefNet HR on this machine",
        summary="BiRefNet at 2048 x 2048, for large pictures",
        location="local",
        licence="birefnet-mit",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/birefnet-dynamic",
        label="BiRefNet dynamic on this machine",
        summary="BiRefNet for any resolution from 256 to 2304",
        location="local",
        licence="birefnet-mit",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/birefnet-lite",
        label="BiRefNet lite on this machine",
        summary="BiRefNet with a smaller backbone, for small machines",
        location="local",
        licence="birefnet-mit",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/birefnet-lite-2k",
        label="BiRefNet lite 2K on this machine",
        summary="the smaller BiRefNet at 1920 x 1920",
        location="local",
        licence="birefnet-mit",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/birefnet-matting",
        label="BiRefNet matting on this machine",
        summary="BiRefNet for hair and soft edges",
        location="local",
        licence="birefnet-matting-mit",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/birefnet-hr-matting",
        label="BiRefNet HR matting on this machine",
        summary="BiRefNet for hair and soft edges at 2048 x 2048",
        location="local",
        licence="birefnet-matting-mit",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/birefnet-portrait",
        label="BiRefNet portrait on this machine",
        summary="BiRefNet for portraits",
        location="local",
        licence="birefnet-matting-mit",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    BackendSpec(
        id="local/lucida",
        label="Lucida on this machine",
        summary="BiRefNet HR, tuned for glass, text, glow and drawings",
        location="local",
        licence="lucida-mit",
        target="local.engine:open_local",
        window=8,
        options=_LOCAL_OPTIONS,
    ),
    *hosted_rows.ROWS,
    BackendSpec(
        id="keyer",
        label="Keyer, no weights",
        summary="pictures with a plain backdrop (studio sweeps, green screens)",
        location="local",
        licence="keyer",
        target="keyer:open_keyer",
        window=2,
    ),
    BackendSpec(
        id="edges",
        label="Edges only, no weights",
        summary="fits a rough mask of the subject (painted, or of SAM) to the picture",
        location="local",
        licence="keyer",
        target="edges:open_edges",
        window=2,
        options=(
            Option(
                "reach",
                16,
                "How many pixels the subject mask's outline may be off. Beyond them the mask is "
                "believed.",
                limits=(1, 256, 1),
            ),
        ),
        needs_subject=True,
    ),
)

BACKENDS: Mapping[str, BackendSpec] = {row.id: row for row in _ROWS}

#: Every provider in menu order, with the model that its name alone stands for.
DEFAULT_IDS: Mapping[str, str] = {
    provider: next(row.id for row in _ROWS if row.provider == provider)
    for provider in dict.fromkeys(row.provider for row in _ROWS)
}

#: Options that are words for the model -> the backends that take them.
_INSTRUCTIONS: Mapping[str, list[str]] = {
    option.name: [
        row.id for row in _ROWS if row.instruction and row.instruction.name == option.name
    ]
    for option in filter(None, (row.instruction for row in _ROWS))
}

# Of words for a model. No host documents a limit; beyond this a wrong text was pasted.
_MOST_SIGNS = 4000


def find(backend_id: str) -> BackendSpec:
    """Find the row of "provider/model" or of a provider alone. Raises BackendUnknown with the
    list."""
    row = BACKENDS.get(DEFAULT_IDS.get(backend_id, backend_id))
    if backend_id in VIDEO_MODELS:
        raise BackendUnknown(
            f"{backend_id} takes whole videos, not pictures: `rmbg video` and "
            f"remove_background_video. For pictures choose one of: {', '.join(BACKENDS)}."
        )
    if row is None:
        raise BackendUnknown(
            f"There is no backend {backend_id!r}. Choose one of: {', '.join(BACKENDS)}."
        )
    return row


def check_options(spec: BackendSpec, given: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """Return the row's defaults with the given values over them.

    Raises BadOption for a name, type or choice that the row does not have, and for words too long.
    """
    known = {option.name: option for option in spec.options}
    values = {name: option.default for name, option in known.items()}
    for name, value in given.items():
        option = known.get(name)
        if option is None and name in _INSTRUCTIONS:
            raise BadOption(
                f"{spec.id} is not guided by words: leave {name} empty, or choose one of: "
                f"{', '.join(_INSTRUCTIONS[name])}."
            )
        if option is None:
            listed = ", ".join(known) or "none"
            raise BadOption(f"{spec.id} has no option {name!r}. Its options: {listed}.")
        if option.choices and value not in option.choices:
            listed = ", ".join(option.choices)
            raise BadOption(f"{spec.id}: {name} is {value!r}; choose one of: {listed}.")
        if type(value) is not type(option.default):
            wanted = type(option.default).__name__
            raise BadOption(f"{spec.id}: {name} must be of type {wanted}, not {value!r}.")
        if option.instructs:
            value = _cleaned(spec, name, str(value))
        values[name] = value
    return values


def check_instruction(spec: BackendSpec, values: Mapping[str, OptionValue]) -> None:
    """Raise BadOption where a model that is guided by words is given none: hosts then send the
    usual cut-out, at the price of a guided one."""
    option = spec.instruction
    if option is not None and not values.get(option.name):
        raise BadOption(
            f"{spec.id} is guided by words, and {option.name} is empty. Write there what is to be "
            f"kept, as in: {option.example}."
        )


def _cleaned(spec: BackendSpec, name: str, words: str) -> str:
    """Return the words without blanks around them: the same words are the same paid work. Raises
    BadOption for too many, or for signs that no text has."""
    words = "\n".join(words.strip().splitlines())
    if len(words) > _MOST_SIGNS:
        raise BadOption(
            f"{spec.id}: {name} has {len(words):,} characters; say it in at most {_MOST_SIGNS:,}."
        )
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in words if sign not in "\n\t"):
        raise BadOption(
            f"{spec.id}: {name} holds control characters; write it again as plain text."
        )
    return words
