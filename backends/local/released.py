"""The published weight files, one row each: what is looked for, fetched and verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ...core.errors import BadOption

if TYPE_CHECKING:
    from .networks.birefnet import PatchOrder


@dataclass(frozen=True)
class Released:
    """One file of one model."""

    model: str
    """The part of the backend's id after "local/"."""
    repo: str
    """Where the Hugging Face Hub has it, with `file` and `revision`."""
    file: str
    size: int
    sha256: str
    licence: str
    """A row of catalogue/licences.py."""
    dtype: Literal["float32", "float16"]
    """Of its tensors."""
    revision: str = "main"
    patch_order: PatchOrder = "wg hg c"
    """What `network_from_state_dict` needs to know of a BiRefNet; RMBG-1.4 has none."""
    note: str = ""
    gated: bool = False
    """The Hub gives it only to accounts that have accepted its terms."""
    title: str = ""
    """The model's name where the repository has another."""

    @property
    def name(self) -> str:
        """Return what its publisher calls the model; also its folder's name."""
        return self.title or self.repo.rpartition("/")[2]

    @property
    def file_name(self) -> str:
        """Return what the file is called in a model folder."""
        return self.file.rpartition("/")[2]

    @property
    def page(self) -> str:
        """Return where a person reads about it, accepts its terms and downloads it by hand."""
        return f"https://huggingface.co/{self.repo}"


# The first row of a model is the one that is fetched. The revision is the full commit where it is
# known; the sha256 pins every file.
RELEASED = (
    Released(
        model="rmbg-2.0",
        repo="briaai/RMBG-2.0",
        file="model.safetensors",
        size=884_878_856,
        sha256="566ed80c3d95f87ada6864d4cbe2290a1c5eb1c7bb0b123e984f60f76b02c3a7",
        licence="bria-rmbg-2.0",
        dtype="float32",
        note="gated: accept the terms on its page first, then set HF_TOKEN",
        gated=True,
    ),
    Released(
        model="rmbg-1.4",
        repo="briaai/RMBG-1.4",
        file="model.safetensors",
        size=176_381_984,
        sha256="46ef7fe46f2ae284d8f1aaa24bfa5fca5ef25a34e2c7caa890a0029eb100e87f",
        licence="bria-rmbg-1.4",
        dtype="float32",
    ),
    Released(
        model="rmbg-1.4",
        repo="briaai/RMBG-1.4",
        file="model.pth",
        size=176_718_373,
        sha256="893c16c340b1ddafc93e78457a4d94190da9b7179149f8574284c83caebf5e8c",
        licence="bria-rmbg-1.4",
        dtype="float32",
        note="older format, used where it is already there",
    ),
    Released(
        model="rmbg-1.4",
        repo="briaai/RMBG-1.4",
        file="pytorch_model.bin",
        size=176_574_018,
        sha256="59569acdb281ac9fc9f78f9d33b6f9f17f68e25086b74f9025c35bb5f2848967",
        licence="bria-rmbg-1.4",
        dtype="float32",
        note="older format, used where it is already there",
    ),
    Released(
        model="birefnet",
        repo="ZhengPeng7/BiRefNet",
        file="model.safetensors",
        size=444_473_596,
        sha256="9ab37426bf4de0567af6b5d21b16151157349139362e6e8992021b8ce356a154",
        licence="birefnet-mit",
        dtype="float16",
        revision="e2bf8e4460fc8fa32bba5ea4d94b3233d367b0e4",
        note="the general model",
    ),
    Released(
        model="isnet",
        repo="jellybox/isnet-general-use",
        file="isnet-general-use_1024.onnx",
        size=178_648_008,
        sha256="60920e99c45464f2ba57bee2ad08c919a52bbf852739e96947fbb4358c0d964a",
        licence="isnet-dis",
        dtype="float32",
        revision="bc3706ce4ee38a3db2c3c58082a92582fcdfcfdc",
        note="a copy of rembg's isnet-general-use.onnx, which is found where rembg keeps it",
    ),
)


def rows_of(model: str, rows: Sequence[Released] = RELEASED) -> list[Released]:
    """Return the files of one model. Raises BadOption for a name that no row has."""
    found = [row for row in rows if row.model == model]
    if not found:
        names = ", ".join(dict.fromkeys(row.model for row in rows))
        raise BadOption(f"There is no model {model!r}. Choose one of: {names}.")
    return found
