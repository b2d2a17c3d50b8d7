"""Windows of a token map, for Swin's attention: which token sits where, written out as indices.

Swin pads the map to whole windows, rolls it by `shift`, cuts it into windows, and undoes all that
after the attention. Here one gather does it and one gather undoes it, so that the layers before
and after the attention never see a padded token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# What Swin adds to a logit whose two tokens are neighbours only because of the roll. Not -inf: the
# published weights were trained with this value.
_MASKED = -100.0


@dataclass(frozen=True)
class Run:
    """Consecutive windows of a band that share one mask."""

    windows: int
    mask: Tensor | None
    """(N, N) additive."""


@dataclass(frozen=True)
class Band:
    """Some rows of windows, N = window * window places each, and the n tokens inside them."""

    tokens: Tensor
    """(n,) their indices in the map of H W tokens."""
    places: Tensor
    """(windows N,) for each place the index into those n tokens."""
    padding: Tensor
    """The places beyond the map's edge; their entry in `places` is 0 and means nothing."""
    back: Tensor
    """(n,) the place of each token."""
    runs: tuple[Run, ...]

    def to(self, device: torch.device) -> Band:
        """Return the same band on another device."""
        runs = tuple(
            Run(run.windows, None if run.mask is None else run.mask.to(device)) for run in self.runs
        )
        return Band(
            self.tokens.to(device),
            self.places.to(device),
            self.padding.to(device),
            self.back.to(device),
            runs,
        )


def window_bands(height: int, width: int, window: int, shift: int, most: int) -> list[Band]:
    """Return all windows of a height x width map, in bands of at most `most` tokens (but one row of
    windows at least), on the CPU.

    After the roll only the last row and the last column of windows hold tokens from opposite
    edges. The last row is therefore a band of its own, and the last column a run of its own.
    """
    down = -(-height // window)
    token = _rolled_tokens(height, width, window, shift)  # (down, across, N)
    step = max(1, most // (window * max(width, 1)))
    last = down - 1 if shift else down
    cuts = [*range(0, last, step), *range(last, down), down]
    return [
        _band(token[first:end], end == down, window, shift)
        for first, end in zip(cuts[:-1], cuts[1:], strict=True)
    ]


def _rolled_tokens(height: int, width: int, window: int, shift: int) -> Tensor:
    """Return the token at each place, -1 for padding: (down, across, window * window)."""
    down, across = -(-height // window), -(-width // window)
    y = (torch.arange(down * window) + shift) % (down * window)
    x = (torch.arange(across * window) + shift) % (across * window)
    inside = (y < height)[:, None] & (x < width)
    token = torch.where(inside, y[:, None] * width + x, -1)
    grid = token.view(down, window, across, window).permute(0, 2, 1, 3)
    return grid.reshape(down, across, window * window)


def _band(token: Tensor, is_last: bool, window: int, shift: int) -> Band:
    rows, across, _ = token.shape
    if shift:
        # Column by column, so that the windows of the last column follow each other.
        token = token.transpose(0, 1)
        edge = is_last
        runs = [
            Run(rows * (across - 1), _mask(window, shift, edge, False)),
            Run(rows, _mask(window, shift, edge, True)),
        ]
    else:
        runs = [Run(rows * across, None)]
    flat = token.reshape(-1)
    real = flat >= 0
    tokens, order = flat[real].sort()
    back = real.nonzero().flatten()[order]
    places = torch.zeros_like(flat).index_copy_(0, back, torch.arange(len(tokens)))
    padding = (~real).nonzero().flatten()
    return Band(tokens, places, padding, back, tuple(run for run in runs if run.windows))


def _mask(window: int, shift: int, last_row: bool, last_column: bool) -> Tensor | None:
    """Return the additive mask of a window: tokens from different edges do not see each other."""
    if not last_row and not last_column:
        return None
    rolled = torch.arange(window) >= window - shift
    y = rolled if last_row else torch.zeros_like(rolled)
    x = rolled if last_column else torch.zeros_like(rolled)
    region = (2 * y.long()[:, None] + x.long()).flatten()
    return torch.where(region[:, None] == region, 0.0, _MASKED)
