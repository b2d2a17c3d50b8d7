"""The rows of the formats that videos are written in."""

from __future__ import annotations

import io

import av
import pytest

from rmbg_nodes.video.writing.video_formats import VIDEO_FORMATS, Quality, VideoFormat

IDS = [row.id for row in VIDEO_FORMATS]


def test_each_has_an_id_of_its_own() -> None:
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("row", VIDEO_FORMATS, ids=IDS)
def test_a_row_agrees_with_itself(row: VideoFormat) -> None:
    assert ("alpha" in row.carries) == (row.alpha != "none")
    assert not (row.matte and row.alpha != "none")
    assert row.suffix.startswith(".")
    assert row.is_sequence == ("timestamps" not in row.carries)
    assert row.needs_extended <= row.lossy
    assert row.closed_segments or row.most_frames


@pytest.mark.parametrize("row", [row for row in VIDEO_FORMATS if not row.is_sequence])
def test_the_encoder_takes_the_pixel_formats(row: VideoFormat) -> None:
    known = {format.name for format in av.Codec(row.codec, "w").video_formats or ()}
    assert set(row.pixel_formats.values()) <= known
    av.open(io.BytesIO(), "w", format=row.container).close()


def test_bits_are_those_of_the_source_where_the_format_has_them() -> None:
    rows = {row.id: row for row in VIDEO_FORMATS}
    assert [rows["hevc"].bits(bits) for bits in (8, 10, 12)] == [8, 10, 10]
    assert [rows["png"].bits(bits) for bits in (8, 10, 12)] == [8, 16, 16]
    assert [rows["prores-4444"].bits(bits) for bits in (8, 10, 12)] == [10, 10, 10]


def test_a_quality_is_between_the_worst_and_the_best() -> None:
    quality = Quality("crf", worst=40, best=8, usual=18)
    assert [quality.value(at) for at in (1, 100, None)] == [40, 8, 18]
