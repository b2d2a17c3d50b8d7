"""How a result reaches its user: every part written and noted, or an error and nothing noted."""

# Pins the inside of batch.result
# Pins the inside of pictures.fields
# Pins the inside of pipeline.hand_over
# Pins the inside of records.delivered

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from rmbg_nodes.batch.result import ATTEMPTS, attempts
from rmbg_nodes.core.errors import BackendFailed, BadOption
from rmbg_nodes.core.report import Report
from rmbg_nodes.core.types import Facts, Failure
from rmbg_nodes.pictures.fields import Origin
from rmbg_nodes.pictures.formats import Depth
from rmbg_nodes.pipeline.finishing import Done
from rmbg_nodes.pipeline.hand_over import (
    Delivery,
    Encoding,
    deliver,
    encode_result,
    encoding_for,
    settle_delivered,
)
from rmbg_nodes.pipeline.inputs import Failed
from rmbg_nodes.records.delivered import Part


class Notes:
    """Stands for `DeliveredFiles`."""

    def __init__(self) -> None:
        self.noted: list[tuple[str | None, list[str]]] = []

    def note(self, receipt: str | None, files: dict[Part, bytes]) -> tuple[str, ...]:
        self.noted.append((receipt, [*files]))
        return ("no room for a hash",)


def done(*, paid: bool = False, depth: Depth = 8) -> Done:
    facts = Facts("keyer", "keyer", "keyer", "cpu", 0.1, left_machine=paid)
    report = Report("a.png", 6, 4, "commercial", "allowed", "A licence", facts, receipt="r1")
    image, mask = torch.rand(4, 6, 4), torch.ones(4, 6)
    return Done(0, "a.png", image, mask, report, Origin(depth))


def encoded(result: Done) -> dict[Part, bytes]:
    return {"mask": b"m", "image": b"i"}


@pytest.mark.parametrize("paid", [True, False])
def test_each_part_is_written_in_its_order_and_noted(paid: bool) -> None:
    notes, written = Notes(), list[tuple[Part, bytes, bool]]()
    end = deliver(done(paid=paid), encoded, lambda *file: written.append(file), notes)  # type: ignore[arg-type]
    assert written == [("mask", b"m", paid), ("image", b"i", paid)]
    assert notes.noted == [("r1", ["mask", "image"])]
    assert (end.error, end.files, end.trouble) == (None, encoded(done()), ("no room for a hash",))


def test_what_could_not_be_written_is_not_noted_and_not_settled() -> None:
    def full(part: Part, data: bytes, lasting: bool) -> None:
        raise BadOption("no room")

    notes, settled = Notes(), list[str]()
    failed = Failed(0, "a.png", Failure(BackendFailed("down")))
    ends = [deliver(result, encoded, full, notes) for result in (done(), failed)]  # type: ignore[arg-type]
    assert [str(end.error) for end in ends] == ["no room", "down"]
    assert [end.files for end in ends] == [{}, {}]
    for end in (*ends, Delivery(done())):
        settle_delivered(end, lambda: settled.append("it is in its place"))
    assert (notes.noted, len(settled)) == ([], 1)


def test_the_files_are_as_asked_for_and_as_deep_as_the_source() -> None:
    result = done(depth=16)
    names: dict[Part, Path | None] = {"mask": Path("m.webp"), "image": None}
    made = encode_result(
        result, {part: encoding_for(name, 16) for part, name in names.items()}, {}, silent=True
    )
    assert [*made] == ["mask", "image"]
    assert Image.open(io.BytesIO(made["mask"])).format == "WEBP"
    assert made["image"][24] == 16, "bits of a PNG's samples"
    flat = encode_result(result, {"image": Encoding("png", 8)}, {}, silent=True)
    assert made["image"] != flat["image"]
    named = encode_result(
        replace(result, origin=Origin(16)), {"image": Encoding("png", 16)}, {}, silent=False
    )
    assert len(named["image"]) > len(made["image"]), "it says what it is"
    with pytest.raises(BadOption, match="suffix"):
        encoding_for(Path("m.doc"), 8)


def test_a_picture_is_tried_so_often_and_no_longer() -> None:
    tried = [pictures for pictures, _ in attempts(["a"], lambda: ["a"])]
    assert tried == [["a"]] * ATTEMPTS
    assert [*attempts(["a", "b"], list)] == [(["a", "b"], False)]
    assert [last for _, last in attempts(["a"], lambda: ["a"])] == [False, False, True]
