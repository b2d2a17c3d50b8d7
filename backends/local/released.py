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
    resolution: int = 0
    """The side of the square that these weights were trained at; 0 for the architecture's own."""

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
        model="birefnet",
        repo="1038lab/BiRefNet",
        file="BiRefNet-general.safetensors",
        size=884_878_856,
        sha256="77277264c0e8c74149d3ff2fade4fd8176965b7108f3c5fc3b8c9c811edb4519",
        licence="birefnet-mit",
        dtype="float32",
        revision="4d000788a9698c7f8d67c8c6ce2b40c768f5b909",
        note="the general model in float32, a copy; used where it is already there",
        title="BiRefNet",
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
    Released(
        model="birefnet-hr",
        repo="ZhengPeng7/BiRefNet_HR",
        file="model.safetensors",
        size=444_473_596,
        sha256="9d678bafec0b0019fbb073b7fd02f05ede25dc4b15254f23b2fb0be333200c0d",
        licence="birefnet-mit",
        dtype="float16",
        revision="a7a562f6fd16021180f2f4348f4de003a2d3d1e1",
        patch_order="c hg wg",
        note="for pictures of 2000 pixels and more",
        resolution=2048,
    ),
    Released(
        model="birefnet-dynamic",
        repo="ZhengPeng7/BiRefNet_dynamic",
        file="model.safetensors",
        size=444_473_596,
        sha256="e3d2e4884e51ff30f0cd630edc6b1e41b06b7f23a0a2a5169f7b7cb33a711c2d",
        licence="birefnet-mit",
        dtype="float16",
        revision="280306042f57b7a33854319da62fd86aaa89ec4c",
        patch_order="c hg wg",
        note="trained at every resolution from 256 to 2304",
    ),
    Released(
        model="birefnet-lite",
        repo="ZhengPeng7/BiRefNet_lite",
        file="model.safetensors",
        size=177_634_392,
        sha256="4417d89795250e698c3cb0ae8df15743810065f646f48a694fdfa7ca052d0815",
        licence="birefnet-mit",
        dtype="float32",
        revision="aa62cd87eafb9cc43056d08ef3615a14628b831d",
        note="a smaller backbone, Swin-T",
    ),
    Released(
        model="birefnet-lite-2k",
        repo="ZhengPeng7/BiRefNet_lite-2K",
        file="model.safetensors",
        size=177_634_392,
        sha256="aa2e4a5af5eb3904694feb40f2b39ec5dd7cd9110906590cfeb982f09a46021d",
        licence="birefnet-mit",
        dtype="float32",
        revision="580b1256cd48294d77201a7b18c7dd81964969ab",
        note="Swin-T, trained at 2560 x 1440; the square has as many pixels",
        resolution=1920,
    ),
    Released(
        model="birefnet-matting",
        repo="ZhengPeng7/BiRefNet-matting",
        file="model.safetensors",
        size=884_878_856,
        sha256="a9875de5b1e6c8eb5fdaa8c727a82927ce442cdc87ba3abee6a77e6fa46c25bb",
        licence="birefnet-matting-mit",
        dtype="float32",
        revision="eccde0a8cbdce7ac5fecfeb06340fe7b949e85d9",
    ),
    Released(
        model="birefnet-hr-matting",
        repo="ZhengPeng7/BiRefNet_HR-matting",
        file="model.safetensors",
        size=444_473_596,
        sha256="a5a4de698739ea5e0e8bbab28e1b293dde95092b87a442d566cbc585c53cef55",
        licence="birefnet-matting-mit",
        dtype="float16",
        revision="5d6b6f8adcb5b417c871b1d84ceaae9871355b7f",
        patch_order="c hg wg",
        note="for pictures of 2000 pixels and more",
        resolution=2048,
    ),
    Released(
        model="birefnet-portrait",
        repo="ZhengPeng7/BiRefNet-portrait",
        file="model.safetensors",
        size=884_878_856,
        sha256="4a4eb3a5469b75f0cccaec6772c22fc30e6c12ed429c2c0ba71b43e3d8d97182",
        licence="birefnet-matting-mit",
        dtype="float32",
        revision="b6561965a70070d9143fd9e558f6ca3c481510db",
    ),
    Released(
        model="lucida",
        repo="Comfy-Org/BiRefNet",
        file="background_removal/lucida.safetensors",
        size=884_878_856,
        sha256="a43e3dd84cbe84db76bd2015ef8f7034c9503c50d9b56fa2155803b69bd2f408",
        licence="lucida-mit",
        dtype="float32",
        patch_order="c hg wg",
        note="version 5, as ComfyUI's own collection has it",
        title="Lucida",
    ),
    Released(
        model="lucida",
        repo="1038lab/BiRefNet",
        file="Lucida.safetensors",
        size=884_878_856,
        sha256="2f1aa6913426537d4b93dd5f7138ae5c6664e99abda98c95f3d5b9101283e7d5",
        licence="lucida-mit",
        dtype="float32",
        revision="4d000788a9698c7f8d67c8c6ce2b40c768f5b909",
        patch_order="c hg wg",
        note="a later version, a copy; used where it is already there",
        title="Lucida",
    ),
)


def rows_of(model: str, rows: Sequence[Released] = RELEASED) -> list[Released]:
    """Return the files of one model. Raises BadOption for a name that no row has."""
    found = [row for row in rows if row.model == model]
    if not found:
        names = ", ".join(dict.fromkeys(row.model for row in rows))
        raise BadOption(f"There is no model {model!r}. Choose one of: {names}.")
    return found
