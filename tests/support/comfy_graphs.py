"""Prompts in ComfyUI's API format, and what its history says of them."""

from __future__ import annotations

from typing import Any, TypeAlias

from .comfy_server import Entry

Graph: TypeAlias = "dict[str, dict[str, Any]]"

#: The inputs of Remove Background (RMBG) that version 0.1 had.
REMOVE = {
    "refine_edges": True,
    "decontaminate": 1.0,
    "background": "transparent",
    "color": "#ffffff",
}
#: The inputs of Apply Mask (RMBG) that do nothing.
APPLY_MASK = {
    "invert": False,
    "black_point": 0.0,
    "white_point": 1.0,
    "threshold": 0.0,
    "fill_holes": 0.0,
    "remove_islands": 0.0,
    "grow": 0.0,
    "feather": 0.0,
    "decontaminate": 1.0,
    "background": "transparent",
    "color": "#ffffff",
}
#: The inputs of Composite (RMBG) that place the foreground as it is.
COMPOSITE = {
    "color": "#ffffff",
    "fit": "none",
    "anchor": "center",
    "offset_x": 0,
    "offset_y": 0,
    "scale": 1.0,
    "margin": 0.05,
    "opacity": 1.0,
    "blend": "srgb",
    "shadow": 0.0,
}


def node(class_type: str, **inputs: object) -> dict[str, Any]:
    """One node."""
    return {"class_type": class_type, "inputs": inputs}


def messages_of(entry: Entry) -> dict[str, Any]:
    """Kind -> the last message of that kind."""
    return dict(entry["status"]["messages"])


def error_of(entry: Entry) -> str:
    """Type and text of the error that ended the prompt."""
    messages = messages_of(entry)
    assert "execution_error" in messages, messages
    error = messages["execution_error"]
    return f"{error['exception_type']}: {error['exception_message']}"
