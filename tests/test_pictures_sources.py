"""Command-line inputs to files, and the files that results go to."""

# Pins the inside of pictures.places
# Pins the inside of pictures.sources

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.pictures.places import output_paths
from rmbg_nodes.pictures.sources import Source, expand


def only_path(source, out, suffix=".png"):
    return output_paths([source], out, suffix)[0]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("img10.png", "Img2.JPG", "img1.webp", "notes.txt", ".hidden.png", "more/deep.png"):
        (folder / name).write_bytes(b"x")
    return folder


def names(sources: list[Source]) -> list[str]:
    return [source.path.name if source.path else source.name for source in sources]


def paths(*files: str, folder: Path) -> list[Source]:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"x")
    return [Source(file, folder / file) for file in files]


def test_a_folder_gives_its_pictures_as_people_count(photos: Path) -> None:
    assert names(expand([str(photos)])) == ["img1.webp", "Img2.JPG", "img10.png"]


def test_folders_below_are_entered_when_asked(photos: Path) -> None:
    assert "deep.png" in names(expand([str(photos)], recursive=True))


def test_hidden_folders_are_entered_and_links_to_folders_are_not(photos: Path) -> None:
    (photos / ".old").mkdir()
    (photos / ".old" / "kept.png").write_bytes(b"x")
    try:
        (photos / "link").symlink_to(photos / "more", target_is_directory=True)
        (photos / "gone.png").symlink_to(photos / "nowhere.png")
    except OSError:
        pytest.skip("no links here")
    found = names(expand([str(photos)], recursive=True))
    assert found == ["kept.png", "img1.webp", "Img2.JPG", "img10.png", "deep.png"]


def test_a_pattern_follows_links_and_not_in_circles(photos: Path) -> None:
    try:
        (photos / "again").symlink_to(photos, target_is_directory=True)
        (photos / "link").symlink_to(photos / "more", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    (source,) = expand([str(photos / "**" / "deep.png")])
    assert source.path == photos / "link" / "deep.png"


def test_patterns_are_expanded_here(photos: Path) -> None:
    assert names(expand([str(photos / "img1*")])) == ["img1.webp", "img10.png"]
    assert names(expand([str(photos / "*")])) == ["img1.webp", "Img2.JPG", "img10.png"]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "shoe[1].png").write_bytes(b"x")
    assert names(expand([str(tmp_path / "shoe[1].png")])) == ["shoe[1].png"]


def test_order_is_kept_and_a_file_comes_once(photos: Path) -> None:
    first, second = str(photos / "img10.png"), str(photos / "Img2.JPG")
    assert names(expand([first, second, str(photos), first])) == [
        "img10.png",
        "Img2.JPG",
        "img1.webp",
    ]


def test_a_named_file_is_taken_whatever_its_suffix(photos: Path) -> None:
    assert names(expand([str(photos / "notes.txt")])) == ["notes.txt"]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("none.png", "none.png does not exist."),
        ("*.png", "*.png matches no picture files."),
        ("empty", "empty holds no picture files."),
        ("a\0b", "a\0b"),
    ],
)
def test_what_is_missing_is_reported_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "here.jpg").write_bytes(b"x")
    missing, here = expand([argument, "here.jpg"])
    assert here.reason is None
    assert missing.reason is not None
    assert missing.reason.startswith(words)
    with pytest.raises(BadPicture):
        missing.content()


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"bytes of a picture")

    monkeypatch.setattr("sys.stdin", Stdin)
    (source,) = expand(["-", "-"])
    assert source.name == "standard input"
    assert source.content() == b"bytes of a picture"


def test_beside_the_input(tmp_path: Path) -> None:
    (source,) = paths("a.jpg", folder=tmp_path)
    assert only_path(source, None) == tmp_path / "a.png"
    assert only_path(source, None, ".webp") == tmp_path / "a.webp"


def test_into_a_folder_or_a_file(tmp_path: Path) -> None:
    (source,) = paths("a.jpg", folder=tmp_path)
    out = str(tmp_path / "out")
    assert only_path(source, out) == tmp_path / "out" / "a.png"
    assert only_path(source, out + ".v2") == tmp_path / "out.v2" / "a.png"
    assert only_path(source, out + ".WebP") == tmp_path / "out.WebP"
    assert only_path(source, out + ".png/") == tmp_path / "out.png" / "a.png"
    (tmp_path / "old.png").mkdir()
    assert only_path(source, str(tmp_path / "old.png")) == tmp_path / "old.png" / "a.png"


def test_equal_stems_get_distinct_names(tmp_path: Path) -> None:
    sources = paths(
        "a.jpg", "a.png", "b/A.webp", "a-2.jpg", "c/\u00e9.png", "d/e\u0301.png", folder=tmp_path
    )
    result = output_paths(sources, str(tmp_path / "out"))
    stems = [path.name for path in result if path is not None]
    assert stems == ["a.png", "a-2.png", "A-3.png", "a-2-2.png", "\u00e9.png", "e\u0301-2.png"]
    assert result == output_paths(sources, str(tmp_path / "out"))


def test_no_result_takes_the_name_of_an_input(tmp_path: Path) -> None:
    """The folder of the results is the folder of the pictures."""
    sources = paths("a.jpg", "a.png", "B.PNG", folder=tmp_path)
    result = output_paths(sources, str(tmp_path))
    assert [path.name for path in result if path is not None] == ["a-2.png", "a-3.png", "B-2.png"]


def test_an_input_is_recognised_through_a_link(tmp_path: Path) -> None:
    sources = paths("real/a.png", folder=tmp_path)
    try:
        (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
        (tmp_path / "alias.png").symlink_to(tmp_path / "real" / "a.png")
    except OSError:
        pytest.skip("no links here")
    assert only_path(sources[0], str(tmp_path / "link")).name == "a-2.png"
    with pytest.raises(BadOption, match="is the picture that is read"):
        only_path(sources[0], str(tmp_path / "alias.png"))


def test_an_output_file_may_not_be_the_input_in_another_case(tmp_path: Path) -> None:
    (source,) = paths("a.png", folder=tmp_path)
    with pytest.raises(BadOption, match="is the picture that is read"):
        only_path(source, str(tmp_path / "A.PNG"))


def test_one_file_for_several_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="there are 2 pictures; name a folder"):
        output_paths(paths("a.jpg", "b.jpg", folder=tmp_path), str(tmp_path / "out.png"))


def test_standard_input_needs_a_named_output(tmp_path: Path) -> None:
    stdin = Source("standard input")
    assert only_path(stdin, str(tmp_path)) == tmp_path / "stdin.png"
    with pytest.raises(BadOption, match="name the file to write"):
        only_path(stdin, None)


def test_a_source_without_a_file_has_no_output(tmp_path: Path) -> None:
    missing = Source("x.png", reason="x.png does not exist.")
    (here,) = paths("x.jpg", folder=tmp_path)
    assert output_paths([missing, here], str(tmp_path / "o")) == [None, tmp_path / "o" / "x.png"]


RESERVED = ["con", "PRN", "Aux", "NUL", "com1", "LPT9", "COM¹", "lpt³", "CONIN$", "conout$",
            "con.tar", "nul ", "com² .x", "con. "]  # fmt: skip


@pytest.mark.parametrize("stem", RESERVED)
def test_a_name_that_windows_reserves_is_renamed(stem: str, tmp_path: Path) -> None:
    sources = [Source(stem, tmp_path / f"{stem}.jpg"), Source("b", tmp_path / f"_{stem}.jpg")]
    for out in (None, str(tmp_path / "out")):
        results = [path.name for path in output_paths(sources, out) if path]
        assert results == [f"_{stem}.png", f"_{stem}-2.png"]


@pytest.mark.parametrize("stem", ["console", "com", "com10", "lpt\u2074", "a.con", "con-1", "nul_"])
def test_other_names_are_kept(stem: str, tmp_path: Path) -> None:
    result = only_path(Source(stem, tmp_path / f"{stem}.jpg"), str(tmp_path / "out"))
    assert result.name == f"{stem}.png"


def test_5000_pictures_of_one_name_are_named_quickly(tmp_path: Path) -> None:
    sources = [Source("f", Path(f"{os.sep}{number}", "f.png")) for number in range(5000)]
    result = output_paths(sources, str(tmp_path))
    assert len({str(path) for path in result}) == 5000
    assert result[-1] == tmp_path / "f-5000.png"


def test_patterns_in_folders_whose_names_read_like_patterns(tmp_path: Path) -> None:
    paths("shots [2]/a.png", "shots [2]/b*/c.png", "shots 2/d.png", folder=tmp_path)
    at = tmp_path / "shots [2]"
    assert names(expand([str(at / "*.png")])) == ["a.png"]
    assert names(expand([str(at / "**/*.png")])) == ["a.png", "c.png"]
    assert names(expand([str(at / "b*/[c].png")])) == ["c.png"]
    assert names(expand([str(tmp_path / "shots [0-9]/*.png")])) == ["d.png"]
    (gone,) = expand([str(at / "none.png")])
    assert "does not exist" in str(gone.reason)


@pytest.mark.parametrize("scheme", ["http", "HTTPS", "s3", "file"])
def test_addresses_are_not_fetched_and_keep_their_secrets(scheme: str) -> None:
    (source,) = expand([f"{scheme}://me:key@host/a*.png?sign=key#key"])
    assert source.reason == (
        f"{scheme}://host/a*.png is an address, and addresses are not fetched; download the "
        "picture and name its file."
    )
    assert "key" not in source.name
