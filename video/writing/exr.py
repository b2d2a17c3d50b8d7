"""OpenEXR files as compositing programs expect them: linear light, premultiplied, half floats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from ...config.private_files import whole
from ...core.errors import BadOption
from ..frames import VideoInfo
from .linear_light import check_transfer, to_linear

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
#: x and y of red, green, blue and white (ITU-T H.273), by the name of the primaries.
_CHROMATICITIES: Mapping[str, tuple[float, ...]] = {
    "bt709": (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65),
    "bt470m": (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, *_C),
    "bt470bg": (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    "smpte170m": (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    "smpte240m": (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    "film": (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, *_C),
    "bt2020": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    "smpte431": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    "smpte432": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    "ebu3213": (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),
}


class ExrFiles:
    """Writes frames of one video as EXR files."""

    def __init__(self, info: VideoInfo) -> None:
        self._openexr = _openexr()
        self._transfer = info.colours.transfer
        check_transfer(self._transfer)
        self._header: dict[str, object] = {
            "compression": self._openexr.ZIP_COMPRESSION,
            "type": self._openexr.scanlineimage,
            "pixelAspectRatio": float(info.pixel_aspect),
            "framesPerSecond": info.frame_rate,
        }
        # Without them readers take bt709's.
        known = _CHROMATICITIES.get(info.colours.primaries)
        if known is not None:
            self._header["chromaticities"] = known

    def write(self, image: Tensor, path: Path) -> None:
        """Write (H, W, 3) or, with straight alpha, (H, W, 4) float32, as a whole or not at all.

        Raises BadOption when the place cannot be written.
        """
        pixels = self._light(image).half().contiguous().numpy()
        name = "RGBA" if pixels.shape[2] == 4 else "RGB"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as part:
                self._openexr.File(dict(self._header), {name: pixels}).write(str(part))
        except (OSError, RuntimeError) as error:  # OpenEXR's own are RuntimeErrors
            raise BadOption(f"{path} cannot be written ({error}); choose another place.") from error

    def _light(self, image: Tensor) -> Tensor:
        """Return linear light; what alpha covers, where the picture has it."""
        values = image.clamp(0, 1)
        light = to_linear(values[..., :3].contiguous(), self._transfer)
        if values.shape[2] == 3:
            return light
        alpha = values[..., 3:]
        return torch.cat((light * alpha, alpha), dim=-1)


def _openexr() -> ModuleType:
    try:
        import OpenEXR
    except ImportError as error:
        raise BadOption(
            'Writing EXR needs the extra [exr]: pip install "rmbg-nodes[exr]", or into ComfyUI\'s '
            "own Python pip install OpenEXR; or choose png."
        ) from error
    module: ModuleType = OpenEXR
    return module
