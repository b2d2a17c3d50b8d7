"""The pictures of a batch and the names of their results."""

# Pins the inside of batch.recipe.naming
# Pins the inside of batch.sources.items
# Pins the inside of pictures.find_pictures

from __future__ import annotations

import codecs
import os
import sys
from itertools import islice
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmbg_nodes.batch.recipe.naming import Naming, mask_of, numbered, variant
from rmbg_nodes.batch.sources.items import Item, find_items
from rmbg_nodes.core.errors import BadOption
from rmbg_nodes.pictures.find_pictures import Tree, split_pattern

posix = pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not allow")


def put(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"x")
    return folder


def found(
    *sources: object,
    dest: Path,
    pattern: str = "",
    mask: bool = False,
    encoding: str | None = None,
) -> list[Item]:
    naming = Naming(pattern) if pattern else Naming()
    named = [str(source) for source in sources]
    return [*find_items(named, dest, naming, mask=mask, encoding=encoding)]


def keys(*sources: object, dest: Path) -> list[str]:
    return [item.key for item in found(*sources, dest=dest)]


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put(
        tmp_path / "photos",
        *("b10.jpg", "b2.PNG", "notes.txt", ".hidden.png", ".cache/c.png"),
        *("shoes/2.jpg", "shoes/10.jpg", "shoes/red/1.webp", "Bags/1.tif"),
    )


def test_a_folder_is_mirrored_as_people_count(photos: Path, dest: Path) -> None:
    items = found(photos, dest=dest, mask=True)
    assert [item.key for item in items] == [
        *("b2.PNG", "b10.jpg", "Bags/1.tif", "shoes/2.jpg", "shoes/10.jpg", "shoes/red/1.webp"),
    ]
    assert items[-1] == Item(
        "shoes/red/1.webp",
        photos / "shoes/red/1.webp",
        "shoes/red/1.png",
        "shoes/red/1-mask.png",
    )
    assert {item.mask for item in found(photos, dest=dest)} == {None}


@posix
def test_dest_inside_the_source_is_not_looked_into(photos: Path) -> None:
    put(photos, "out/result.png", "shoes/out/kept.png")
    put(photos / "shoes", "link-target.png")
    put(photos, "out/sub/result.png")
    (photos / "again").symlink_to(photos / "out")
    (photos / "below").symlink_to(photos / "out/sub")
    assert not [key for key in keys(photos, dest=photos / "out") if "result" in key]
    assert "shoes/out/kept.png" in keys(photos, dest=photos / "out")


@pytest.mark.parametrize("source", [".", "shoes", "shoes/2.jpg", "shoes/*.jpg"])
def test_pictures_in_dest_are_refused(photos: Path, source: str) -> None:
    with pytest.raises(BadOption, match="lies in .*where the results go"):
        found(os.path.join(photos, source), dest=photos)


@posix
def test_links_are_followed_but_not_in_circles(photos: Path, dest: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "new.png")
    (tmp_path / "elsewhere/back").symlink_to(photos)
    (photos / "shoes/up").symlink_to(photos)
    (photos / "more").symlink_to(tmp_path / "elsewhere")
    (photos / "loop").symlink_to(photos / "loop")
    (photos / "loop.png").symlink_to(photos / "loop.png")
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    seen = keys(photos, dest=dest)
    assert "more/new.png" in seen
    assert {"loop.png", "gone.png"} <= {*seen}  # their reading fails, and is counted
    assert len(seen) == 9


def test_several_sources_keep_apart(photos: Path, dest: Path, tmp_path: Path) -> None:
    other = put(tmp_path / "new/photos", "b10.jpg")
    single = put(tmp_path, "b10.jpg") / "b10.jpg"
    items = found(photos / "*.jpg", other, single, dest=dest)
    assert [(item.key, item.target) for item in items] == [
        ("photos/b10.jpg", "photos/b10.png"),
        ("photos-2/b10.jpg", "photos-2/b10.png"),
        (single.as_posix(), "b10.png"),
    ]


def test_a_picture_named_twice_comes_once(photos: Path, dest: Path) -> None:
    everything = {item.source for item in found(photos, dest=dest)}
    sources = (photos / "shoes", photos / "b2.PNG", photos, photos / "**/*.jpg", photos / "b2.PNG")
    items = found(*sources, dest=dest)
    assert {item.source for item in items} == everything
    assert len(items) == len(everything)
    assert len({item.key for item in items}) == len(everything)


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("*.jpg", ["b10.jpg"]),
        ("*/*.jpg", ["shoes/2.jpg", "shoes/10.jpg"]),
        ("**/1.*", ["Bags/1.tif", "shoes/red/1.webp"]),
        ("shoes/**", ["2.jpg", "10.jpg", "red/1.webp"]),
        ("sho?s/[0-9].jpg", ["shoes/2.jpg"]),
    ],
)
def test_patterns(photos: Path, dest: Path, pattern: str, matched: list[str]) -> None:
    base = photos / "shoes" if pattern.startswith("shoes/") else photos
    assert keys(base / pattern.removeprefix("shoes/"), dest=dest) == matched


def test_a_pattern_does_not_walk_where_nothing_can_match(
    photos: Path, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    scandir = os.scandir

    def noted(path: str) -> object:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    assert len([*Tree(*split_pattern(str(photos / "*.jpg"))).pictures(dest)]) == 1
    assert listed == [str(photos)]


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ([], "No pictures are named"),
        (["none"], "none does not exist"),
        (["*.gif"], "matches no picture"),
        (["none/*.png"], "none cannot be looked into"),
        (["a\0b"], "does not exist"),
    ],
)
def test_a_source_that_is_not_there(
    dest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadOption, match=words):
        find_items(sources, dest, Naming(), mask=False)


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_a_name_that_is_not_utf_8(photos: Path, dest: Path) -> None:
    Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.jpg")).write_bytes(b"x")
    (item,) = (item for item in found(photos, dest=dest) if item.key.startswith("caf"))
    assert item.source.exists()
    assert os.fsencode(item.target) == b"caf\xe9.png"


def test_a_folder_that_cannot_be_listed_is_heard_of(photos: Path, dest: Path) -> None:
    def broken(path: str) -> object:
        if path.endswith("shoes"):
            raise PermissionError(13, "Permission denied")
        return os_scandir(path)

    os_scandir = os.scandir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", broken)
        assert keys(photos, dest=dest) == ["b2.PNG", "b10.jpg", "Bags/1.tif", "shoes"]


def listing(tmp_path: Path, content: bytes | str, name: str = "list.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_manifest(tmp_path: Path, dest: Path, delimiter: str, mark: str) -> None:
    rows = [("sku", " Path ", "output", "Name"), ("17", "a/x.jpg", "", '"A ""b"", c;d\te"'),
            ("", "../up/y.png", "w\\z", "q"), ("18", "/abs/s.tif", "s.PNG", "")]  # fmt: skip
    text = mark + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n\r\n"
    items = found(listing(tmp_path, text), dest=dest, pattern="{folder}/{Name}{suffix}", mask=True)
    assert [(item.key, item.source, item.target, item.mask) for item in items] == [
        ("a/x.jpg", tmp_path / "a/x.jpg", "a/A _b_, c;d_e.png", "a/A _b_, c;d_e-mask.png"),
        ("../up/y.png", tmp_path / "../up/y.png", "w/z.png", "w/z-mask.png"),
        ("/abs/s.tif", Path("/abs/s.tif"), "s.PNG", "s-mask.png"),
    ]


def test_a_jsonl_manifest(tmp_path: Path, dest: Path) -> None:
    first = '{"path": "a/x.jpg", "sku": 7, "new": true, "tags": []}'
    text = f'{first}\n\n{{"path": "\\ud800.png", "sku": "../\\ud800"}}\n'
    items = found(listing(tmp_path, text, "list.JSONL"), dest=dest, pattern="{sku}-{stem}{suffix}")
    assert [item.target for item in items] == ["7-x.png", ".._" + "_-_.png"]


@posix
def test_bytes_of_a_file_name_in_a_manifest(tmp_path: Path, dest: Path) -> None:
    (item,) = found(listing(tmp_path, b"path\ncaf\xe9.jpg\n"), dest=dest, encoding="UTF8")
    assert os.fsencode(item.source.name) == b"caf\xe9.jpg"


@pytest.mark.parametrize(
    ("name", "text", "line", "words"),
    [
        ("l.csv", "file,sku\na.png,1\n", 1, "no column path"),
        ("l.csv", "", 1, "no column path"),
        ("l.csv", "path\0,x\na.png\n", 1, "no column path"),
        ("l.csv", "path,Path\na.png,b.png\n", 1, "same name"),
        ("l.csv", "path,sku\na.png,1\n,2\n", 3, "no path"),
        ("l.csv", 'path,sku\na.png,"1\n2"\n"b.png,2\nc.png,3\n', 4, "no row of a CSV"),
        ("l.csv", "path,output\na.png,../b.png\n", 2, "no path of a file under DEST"),
        ("l.csv", "path,output\na.png,/b.png\n", 2, "no path of a file under DEST"),
        ("l.csv", "path,output\na.png,C:\\b.png\n", 2, "no path of a file under DEST"),
        ("l.csv", "path,output\na.png,b/\n", 2, "no path of a file under DEST"),
        ("l.csv", "path,output\na.png,b.jpg\n", 2, "another format"),
        ("l.csv", "path,sku\nout/a.png,1\n", 2, "where the results go"),
        ("l.jsonl", '{"path": "a.png", "sku": 1}\n["b.png"]', 2, "no JSON object"),
        ("l.jsonl", '{"path": "a.png", "sku": 1}\n{"sku": 1}', 2, "no path"),
        ("l.jsonl", '{"path": "a.png", "sku": 1}\n' + "[" * 100000, 2, "no JSON object"),
    ],
)
def test_a_damaged_manifest(
    tmp_path: Path, dest: Path, name: str, text: str, line: int, words: str
) -> None:
    dest.mkdir()
    columns = "{sku}" if "sku" in text.splitlines()[:1].__str__() else "{stem}"
    with pytest.raises(BadOption, match=f"{name}, line {line}: .*{words}"):
        found(listing(tmp_path, text, name), dest=dest, pattern=f"{columns}{{suffix}}")


_ROWS = "path{0}sku\r\nköpfe.jpg{0}A1\r\n"
_EXCEL = {
    "Unicode text": codecs.BOM_UTF16_LE + _ROWS.format("\t").encode("utf-16-le"),
    "big endian": codecs.BOM_UTF16_BE + _ROWS.format("\t").encode("utf-16-be"),
    "CSV UTF-8": codecs.BOM_UTF8 + _ROWS.format(";").encode(),
    "sep": b"sep=;\r\n" + _ROWS.format(";").encode(),
    "sep with a mark": codecs.BOM_UTF8 + b'"SEP=|"\r\n' + _ROWS.format("|").encode(),
    "sep, a tab": b"sep=\t\r\n" + _ROWS.format("\t").encode(),
    "pipes": _ROWS.format("|").encode(),
    "blanks": " Path ,\u00a0sku \r\n\u00a0köpfe.jpg , A1\u00a0\r\n".encode(),
    "quotes and blanks": b' "PATH" , "sku" \r\n "k\xc3\xb6pfe.jpg" , "A1" \r\n',
    "blank lines": b"\r\n;;\r\n" + _ROWS.format(";").encode() + b"\r\n;;\r\n",
    "empty columns": b"path,sku,,\r\nk\xc3\xb6pfe.jpg,A1,,,\r\n",
    "lines in a name": b'"note\r\nof ours";path;sku\r\n"a\nb";k\xc3\xb6pfe.jpg;A1\r\n',
    "old Mac": _ROWS.format(",").replace("\r\n", "\r").encode(),
}


@pytest.mark.parametrize("content", _EXCEL.values(), ids=_EXCEL)
def test_manifests_as_spreadsheets_write_them(tmp_path: Path, dest: Path, content: bytes) -> None:
    items = found(listing(tmp_path, content), dest=dest, pattern="{sku}{suffix}")
    assert [(item.key, item.target) for item in items] == [("köpfe.jpg", "A1.png")]


def test_lines_are_counted_as_an_editor_does(tmp_path: Path, dest: Path) -> None:
    text = 'sep=;\r\n\r\n"a\r\nb";path\r\n"c\r\nd";x.png\r\n\r\n;\r\ne;\r\n'
    with pytest.raises(BadOption, match=r"line 9: .*no path"):
        found(listing(tmp_path, text), dest=dest)


def test_a_jsonl_manifest_with_a_mark(tmp_path: Path, dest: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        file = listing(tmp_path, '{"path": " ö.png"}\n'.encode(encoding), "list.jsonl")
        assert [item.key for item in found(file, dest=dest)] == [" ö.png"]


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl"])
def test_another_encoding_is_said_and_can_be_named(tmp_path: Path, dest: Path, name: str) -> None:
    text = "path\na.png\nköpfe.jpg\n" if name == "list.csv" else '{"path": "köpfe.jpg"}\n'
    file = listing(tmp_path, text.encode("cp1252"), name)
    line = 3 if name == "list.csv" else 1
    with pytest.raises(BadOption, match=rf"{name}, line {line}: .*--encoding cp1252"):
        found(file, dest=dest)
    assert found(file, dest=dest, encoding="cp1252")[-1].key == "köpfe.jpg"
    with pytest.raises(BadOption, match="name its encoding"):
        found(file, dest=dest, encoding="utf-16")
    for wrong in ("klingon", "hex"):
        with pytest.raises(BadOption, match=f"no encoding '{wrong}'"):
            found(file, dest=dest, encoding=wrong)


def test_an_empty_cell_costs_its_row_alone(tmp_path: Path, dest: Path) -> None:
    for file in (
        listing(tmp_path, "path,sku,output\na.png,1,\nb.png\nc.png, ,c\n"),
        listing(tmp_path, '{"path": "a.png", "sku": 1}\n{"path": "b.png", "sku": [1]}\n'
                '{"path": "c.png", "output": "c"}', "l.jsonl"),
    ):  # fmt: skip
        items = found(file, dest=dest, pattern="{sku}{suffix}")
        assert [item.target for item in items] == ["1.png", "_.png", "c.png"]
        assert [bool(item.trouble) for item in items] == [False, True, False]
        assert "column sku is empty" in items[1].trouble


def test_a_manifest_is_read_row_by_row(tmp_path: Path, dest: Path) -> None:
    file = listing(tmp_path, 'path\na.png\nb.png\n"')
    items = find_items([str(file)], dest, Naming(), mask=False)
    assert [item.key for item in islice(items, 2)] == ["a.png", "b.png"]
    with pytest.raises(BadOption, match="line 4"):
        next(items)
    with pytest.raises(BadOption, match="name it alone"):
        found(file, tmp_path, dest=dest)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "does not end in"),
        ("{stem}", "does not end in"),
        ("{stem}.webp", "does not end in"),
        ("{suffix}", "names no file"),
        ("{folder}/{suffix}", "names no file"),
        ("/tmp/{stem}{suffix}", "absolute"),
        ("C:/{stem}{suffix}", "not every system"),
        ("a\\{stem}{suffix}", "not every system"),
        ("../{stem}{suffix}", "dots alone"),
        ("{folder}/.. /{stem}{suffix}", "dots alone"),
        (".RMBG/{stem}{suffix}", "own files"),
        ("{folder}/.rmbg/{stem}{suffix}", "own files"),
        ("{stem{suffix}", "cannot be read|unknown|formats"),
        ("{stem!r}{suffix}", "formats"),
        ("{stem:>999999999}{suffix}", "formats"),
        ("{index:099999999d}{suffix}", "formats"),
        ("{index:,}{suffix}", "formats"),
    ],
)
def test_patterns_that_cannot_be_meant(pattern: str, words: str) -> None:
    with pytest.raises(BadOption, match=words):
        Naming(pattern)


@pytest.mark.parametrize("field", ["sku", "stem.__class__", "0", "", "Stem"])
def test_an_unknown_field_names_the_known_ones(photos: Path, dest: Path, field: str) -> None:
    with pytest.raises(BadOption, match=r"unknown field .* \{folder\}, \{stem\}, \{suffix\}, \{in"):
        found(photos, dest=dest, pattern=f"{{{field}}}{{stem}}{{suffix}}")


@pytest.mark.parametrize(
    ("pattern", "target"),
    [
        ("{folder}/{stem}{suffix}", "a b/c.jpg"),
        ("{{x}}/{stem}-{index:04d}.jpeg", "{x}/c-0012.jpeg"),
        ("{folder}-{index}{suffix}", "a b-12.jpg"),
        ("{sku}/{stem}{suffix}", "A_B/c.jpg"),
        ("{dots}/{stem}{suffix}", "_/c.jpg"),
        ("{device}/{stem}{suffix}", "_con/c.jpg"),
    ],
)
def test_what_a_pattern_gives(pattern: str, target: str) -> None:
    columns = {"sku": " A/B. ", "dots": "..", "device": "con"}
    assert numbered(Naming(pattern, "jpeg").target("a b", "c", columns), 12) == target


@pytest.mark.parametrize(
    ("pattern", "folder", "stem", "target"),
    [
        ("{stem}/a{suffix}", "", "..", "__/a.png"),
        ("{stem}/a{suffix}", "", ".. ", "___/a.png"),
        ("{folder}/{stem}{suffix}", "../x/./", "a", "__/x/_/a.png"),
        ("{folder}/{stem}{suffix}", ".rmbg", "state", "_.rmbg/state.png"),
        ("{folder}/{stem}{suffix}", ".RMBG/x", "state", "_.RMBG/x/state.png"),
        ("{folder}/{stem}{suffix}", "", "", "_.png"),
        ("{stem}-{index}{suffix}", "", "a\0b", "a_b-7.png"),
        ("{folder}/{stem}{suffix}", "AUX./x", "Con ", "_AUX_/x/_Con .png"),
        (
            "{folder}/{stem}{suffix}",
            "a. /lpt\u00b2.d",
            "COM\u00b9",
            "a__/_lpt\u00b2.d/_COM\u00b9.png",
        ),
        ("com{index}{suffix}", "", "a", "_com7.png"),
        ("lpt{index}/{stem}{suffix}", "", "conout$.x", "_lpt7/_conout$.x.png"),
    ],
)
def test_odd_names_stay_in_dest(pattern: str, folder: str, stem: str, target: str) -> None:
    assert variant(numbered(Naming(pattern).target(folder, stem, {}), 7), 1) == target


def test_long_names_are_shortened() -> None:
    for letter in ("x", "\N{HEAVY BLACK HEART}", "\U0001f600"):
        one, other = (Naming().target("", letter * 254 + end, {}) for end in ("a", "b"))
        names = [*(variant(t, n) for t in (one, other) for n in (1, 2)), mask_of(variant(one, 2))]
        assert len({*names}) == 5
        assert all(len(os.fsencode(name)) <= 255 for name in names)


# What hostile or careless people write, more often than by chance.
_ODD = st.sampled_from(["..", ".", "/", "\\", "\0", " ", ".rmbg", "con", "{", "}", ":", "\udce9"])
_TEXT = st.lists(st.one_of(_ODD, st.text(max_size=3)), max_size=5).map("".join)
_PIECE = st.sampled_from(["{folder}", "{stem}", "{suffix}", "{index}", "{index:03d}", "{sku}", "/",
                          "..", ".", "-", " ", ".rmbg", "a"])  # fmt: skip


def stays_inside(target: str) -> None:
    path = PurePosixPath(target)
    assert not path.is_absolute()
    assert target == str(path)
    assert not {"..", "."} & {*target.split("/")}
    assert "\0" not in target
    assert path.parts[0].casefold() != ".rmbg"
    assert path.stem
    os.fsencode(target)


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECE, max_size=6).map("".join), _TEXT, _TEXT, _TEXT)
def test_no_name_leaves_dest(pattern: str, folder: str, stem: str, sku: str) -> None:
    try:
        naming = Naming(f"{pattern}{{suffix}}")
        target = naming.target(folder, stem, {"sku": sku})
    except BadOption:
        return
    final = variant(numbered(target, 7), 2)
    stays_inside(final)
    stays_inside(mask_of(final))


@settings(max_examples=300, deadline=None)
@given(_TEXT)
def test_no_output_of_a_manifest_leaves_dest(output: str) -> None:
    try:
        target = Naming().stated(output)
    except BadOption:
        return
    stays_inside(variant(target, 2))


def test_a_pattern_names_hidden_folders_with_their_dot(photos: Path, dest: Path) -> None:
    put(photos, "shoes/.old/3.jpg", "shoes/.old/.4.jpg")
    assert keys(photos / "**/.old/*.jpg", dest=dest) == ["shoes/.old/3.jpg"]
    assert keys(photos / "*/.*/*", dest=dest) == ["shoes/.old/3.jpg"]
    assert "shoes/.old/3.jpg" not in keys(photos / "**/*.jpg", dest=dest)


@posix
def test_patterns_in_folders_whose_names_read_like_patterns(tmp_path: Path, dest: Path) -> None:
    put(tmp_path / "shots [2]", "a.png", "b*/c.png", "d.png")
    at = tmp_path / "shots [2]"
    assert keys(at / "*.png", dest=dest) == ["a.png", "d.png"]
    assert keys(at / "**/[ac].png", dest=dest) == ["a.png", "b*/c.png"]
    assert keys(at / "b*/*.png", dest=dest) == ["c.png"]
    with pytest.raises(BadOption, match="does not exist"):
        keys(at / "none.png", dest=dest)


def test_addresses_are_not_fetched_and_keep_their_secrets(tmp_path: Path, dest: Path) -> None:
    where = "https://me:key@host/a.png?sign=key"
    file = listing(tmp_path, f"path\na.png\n{where}\n")
    for source, words in (
        (where, "^https://host/a.png is an addr"),
        (file, "line 3: https://host/a"),
    ):
        with pytest.raises(BadOption, match=words) as caught:
            found(source, dest=dest)
        assert "key" not in str(caught.value)
