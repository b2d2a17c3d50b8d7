"""Encoded R'G'B' to linear light, by the name of the transfer; 1.0 is the white of the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ...core.errors import BadOption

#: Reference white of PQ in cd/m2 (ITU-R BT.2408).
_PQ_WHITE = 203.0


def to_linear(values: Tensor, transfer: str) -> Tensor:
    """Return the light of encoded values in 0..1.

    Of camera transfers (bt709, smpte170m, bt2020, HLG) the light before the camera: the standard's
    curve, inverted; of the others the light of the display. PQ's reference white of 203 cd/m2
    becomes 1.0, so that its highlights go up to about 49.

    Raises BadOption for a transfer that is not known here.
    """
    curve = _CURVES.get(transfer)
    if curve is None:
        raise BadOption(
            f"The video's transfer is {transfer}, and linear light of it is not known here; choose "
            "another format, or convert the video first."
        )
    return curve(values)


def check_transfer(transfer: str) -> None:
    """Raise BadOption for a transfer that `to_linear` does not know."""
    to_linear(torch.zeros(1), transfer)


def _power(low: float, slope: float, offset: float, gamma: float) -> Callable[[Tensor], Tensor]:
    """Return the inverse of a curve that is a line of this slope below the encoded value `low`."""

    def curve(values: Tensor) -> Tensor:
        bent = ((values + offset) / (1 + offset)).pow_(gamma)
        return torch.where(values < low, values / slope, bent)

    return curve


def _gamma(gamma: float) -> Callable[[Tensor], Tensor]:
    return lambda values: values.pow(gamma)


def _pq(values: Tensor) -> Tensor:
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = values.pow(1 / m2)
    light = ((power - c1).clamp_(min=0) / (c2 - c3 * power)).pow_(1 / m1)
    return light * (10000 / _PQ_WHITE)


def _hlg(values: Tensor) -> Tensor:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return torch.where(values <= 0.5, values**2 / 3, (((values - c) / a).exp_() + b) / 12)


_BT709 = _power(low=0.0812428583, slope=4.5, offset=0.0992968268, gamma=1 / 0.45)

_CURVES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "bt709": _BT709,
    "smpte170m": _BT709,
    "bt2020-10": _BT709,
    "bt2020-12": _BT709,
    "iec61966-2-4": _BT709,
    "bt1361e": _BT709,
    "unknown": _BT709,
    "smpte240m": _power(low=0.0912863421, slope=4.0, offset=0.1115721959, gamma=1 / 0.45),
    "iec61966-2-1": _power(low=0.04045, slope=12.92, offset=0.055, gamma=2.4),
    "bt470m": _gamma(2.2),
    "bt470bg": _gamma(2.8),
    "linear": lambda values: values,
    "smpte2084": _pq,
    "arib-std-b67": _hlg,
}
