"""The memory of frames is used again, and never while anything holds a frame."""

# Pins the inside of video.frame_memory

from __future__ import annotations

import torch

from rmbg_nodes.video.frame_memory import FrameMemory


def test_memory_comes_back_when_the_picture_is_gone() -> None:
    memory = FrameMemory()
    picture = memory.picture(4, 6, 3)
    place = picture.data_ptr()
    del picture
    assert memory.picture(4, 6, 3).data_ptr() == place


def test_a_view_keeps_its_memory() -> None:
    memory = FrameMemory()
    picture = memory.picture(4, 6, 3)
    picture.fill_(0.5)
    view = picture[..., :1].permute(2, 0, 1)
    del picture
    memory.picture(4, 6, 3).fill_(1.0)
    assert bool((view == 0.5).all())


def test_pictures_of_any_kind_share_memory_of_their_size() -> None:
    memory = FrameMemory()
    deep = memory.picture(4, 6, 2, dtype=torch.uint16)
    assert deep.shape == (4, 6, 2)
    assert deep.dtype == torch.uint16
    place = deep.data_ptr()
    del deep
    assert memory.picture(4, 6, dtype=torch.float32).data_ptr() == place
