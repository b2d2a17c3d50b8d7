"""Draw the pack's sample video, a rendered jug that sways before a green screen:
`python scripts/draw_clip.py`. Writes web/samples/rmbg-green-screen.mp4."""

from __future__ import annotations

import math
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLIP = Path(__file__).resolve().parent.parent / "web" / "samples" / "rmbg-green-screen.mp4"
WIDTH, HEIGHT, FRAMES, RATE = 480, 480, 75, 25
SCREEN = (0.10, 0.62, 0.22)
#: Of the screen's light, from the middle to the corners.
FALL_OFF = 0.12
#: Pixels and degrees to either side; a whole number of swings, so that the clip loops.
SWING, TILT = 44, 6.0


def subject() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the jug's colours times alpha (H, W, 3), and alpha (H, W, 1)."""
    product = import_module("rmbg_nodes.demo.product")
    (studio,) = [studio for studio in product.STUDIOS if studio.name == "gradient"]
    scene = product.product_shot((HEIGHT, WIDTH), studio)
    alpha = scene.alpha[..., None].astype(np.float32)
    return scene.foreground.astype(np.float32) * alpha, alpha


def screen() -> NDArray[np.float32]:
    """Return the green screen, darker towards its corners (H, W, 3)."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    light = 1 - FALL_OFF * (x**2 + y**2) / 2
    made: NDArray[np.float32] = (light[..., None] * SCREEN).astype(np.float32)
    return made


def moved(layer: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Turn and shift a layer to where it is in a frame."""
    phase = math.sin(2 * math.pi * number / FRAMES)
    planes = [
        Image.fromarray(layer[..., channel]).rotate(
            TILT * phase,
            Image.Resampling.BICUBIC,
            center=(WIDTH / 2, HEIGHT * 0.95),
            translate=(round(SWING * phase), 0),
        )
        for channel in range(layer.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def draw_clip() -> None:
    colours, alpha = subject()
    behind = screen()
    with av.open(str(CLIP), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream(
            "libx264", rate=Fraction(RATE), options={"crf": "20", "preset": "veryslow"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = stream.codec_context
        context.thread_count, context.colorspace, context.color_range = 1, 1, 1
        context.color_primaries, context.color_trc = 1, 1
        for number in range(FRAMES):
            share = moved(alpha, number).clip(0, 1)
            picture = moved(colours, number) + (1 - share) * behind
            levels = (picture.clip(0, 1) * 255).round().astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(levels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=1, dst_color_range=1
            )
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


if __name__ == "__main__":
    import_module("make_docs").load_checkout()
    draw_clip()
