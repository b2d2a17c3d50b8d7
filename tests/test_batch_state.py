"""What is known of the pictures of one DEST: from run to run, and when a run is killed."""

# Pins the inside of batch.recipe.naming
# Pins the inside of batch.result
# Pins the inside of batch.sources.items
# Pins the inside of batch.state.progress
# Pins the inside of batch.state.quarantine
# Pins the inside of batch.state.survey

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmbg_nodes.batch import Landed
from rmbg_nodes.batch.recipe.naming import Naming, mask_of, place
from rmbg_nodes.batch.result import not_landed
from rmbg_nodes.batch.sources.items import Item, find_items
from rmbg_nodes.batch.state.progress import State
from rmbg_nodes.batch.state.quarantine import Quarantined
from rmbg_nodes.batch.state.survey import Survey
from rmbg_nodes.core.errors import BackendFailed, BadOption, BadPicture, MayBeBilled
from rmbg_nodes.tests.support.records import start, until_said

RECIPE = "a" * 64


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("1.jpg", "2.jpg", "sub/3.jpg", "sub/4.jpg"):
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def state(dest: Path) -> Iterator[State]:
    with State(dest) as opened:
        yield opened


def look(
    state: State,
    source: Path,
    dest: Path,
    recipe: str = RECIPE,
    *,
    pattern: str = "{folder}/{stem}{suffix}",
    mask: bool = False,
    **how: bool,
) -> Survey:
    items = find_items([str(source)], dest, Naming(pattern), mask=mask, encoding="utf-8")
    return state.survey(items, recipe, **how)


def finish(state: State, dest: Path, *keys: str, content: bytes = b"result") -> None:
    """Write the results of what waits, or of some of it."""
    for item in state.waiting():
        if keys and item.key not in keys:
            continue
        written = {}
        for target in filter(None, (item.target, item.mask)):
            (dest / target).parent.mkdir(parents=True, exist_ok=True)
            (dest / target).write_bytes(content)
            written[target] = len(content)
        state.note(Landed(item.key, written, seconds=0.5, cost=Decimal("0.018"), receipt="r1"))


def targets(state: State) -> dict[str, str]:
    return {item.key: item.target for item in state.waiting()}


def waits(state: State) -> list[str]:
    return [item.key for item in state.waiting()]


def test_what_is_done_and_unchanged_is_left_alone(photos: Path, dest: Path) -> None:
    with State(dest) as state:
        assert look(state, photos, dest) == Survey(4, 0, 0, 4, {"new": 4})
        finish(state, dest, "1.jpg", "2.jpg")
        counts = state.counts()
        assert (counts.done, counts.done_now, counts.waiting, counts.total) == (2, 2, 2, 4)
        assert counts.cost == Decimal("0.036")
    with State(dest) as state:
        assert look(state, photos, dest) == Survey(4, 2, 0, 2, {"new": 2})
        assert waits(state) == ["sub/3.jpg", "sub/4.jpg"]
        finish(state, dest)
        counts = state.counts()
        assert (counts.done_before, counts.done_now, counts.waiting) == (2, 2, 0)


def change_source(photos: Path, dest: Path) -> None:
    (photos / "1.jpg").write_bytes(b"other")


def touch_source(photos: Path, dest: Path) -> None:
    os.utime(photos / "1.jpg", ns=(1, 1))


def lose_result(photos: Path, dest: Path) -> None:
    (dest / "1.png").unlink()


def cut_result(photos: Path, dest: Path) -> None:
    (dest / "1.png").write_bytes(b"resul")


def lose_mask(photos: Path, dest: Path) -> None:
    (dest / "1-mask.png").unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (change_source, "changed"),
        (touch_source, "changed"),
        (lose_result, "missing"),
        (cut_result, "missing"),
        (lose_mask, "missing"),
    ],
)
def test_what_changed_is_made_again(
    state: State, photos: Path, dest: Path, damage, reason: str
) -> None:
    look(state, photos, dest, mask=True)
    finish(state, dest)
    damage(photos, dest)
    assert look(state, photos, dest, mask=True) == Survey(4, 3, 0, 1, {reason: 1})
    assert waits(state) == ["1.jpg"]


def test_a_file_that_changes_during_the_run_is_made_again(
    state: State, photos: Path, dest: Path
) -> None:
    look(state, photos, dest)
    change_source(photos, dest)
    finish(state, dest)
    assert look(state, photos, dest).reasons == {"changed": 1}


def test_another_recipe_naming_or_mask(state: State, photos: Path, dest: Path) -> None:
    look(state, photos, dest)
    finish(state, dest)
    assert look(state, photos, dest, "b" * 64).reasons == {"recipe": 4}
    assert look(state, photos, dest).done == 4  # nothing was begun: still as it was
    assert look(state, photos, dest, force=True).reasons == {"asked": 4}
    assert look(state, photos, dest, mask=True).reasons == {"missing": 4}
    finish(state, dest)
    assert look(state, photos, dest, mask=True).done == 4
    assert look(state, photos, dest).done == 4
    assert look(state, photos, dest, pattern="x/{stem}{suffix}").reasons == {"naming": 4}


def test_a_preview_changes_nothing(state: State, photos: Path, dest: Path) -> None:
    look(state, photos, dest)
    finish(state, dest, "1.jpg")
    elsewhere = find_items([str(photos)], dest, Naming("x/{stem}{suffix}"), mask=True)
    assert state.preview(elsewhere, RECIPE).reasons == {"naming": 1, "new": 3}
    assert state.counts().done_now == 1
    assert waits(state) == ["2.jpg", "sub/3.jpg", "sub/4.jpg"]
    assert look(state, photos, dest).done == 1


def test_what_is_handed_out_is_not_done_any_more(photos: Path, dest: Path) -> None:
    """Its result may be replaced by one of another recipe and the same size, and then a kill."""
    with State(dest) as state:
        look(state, photos, dest)
        finish(state, dest)
        look(state, photos, dest, "b" * 64)
        item = state.waiting()[0]
        (dest / item.target).write_bytes(b"RESULT")
    with State(dest) as state:
        assert look(state, photos, dest).waiting == 4


def test_quarantine(state: State, photos: Path, dest: Path) -> None:
    look(state, photos, dest)
    state.note(not_landed("1.jpg", BadPicture("1.jpg cannot be used: it is empty.")))
    state.note(not_landed("2.jpg", BackendFailed("2.jpg: the provider is down.")))
    counts = state.counts()
    assert (counts.quarantined, counts.failed, counts.waiting) == (1, 1, 2)
    again = look(state, photos, dest)
    assert (again.quarantined, again.reasons) == (1, {"failed": 1, "new": 2})
    for _ in range(2):
        assert look(state, photos, dest, pattern="x/{stem}{suffix}").quarantined == 1
    assert look(state, photos, dest, "b" * 64).quarantined == 0
    assert look(state, photos, dest, retry=True).quarantined == 0
    state.note(not_landed("1.jpg", BadPicture("still empty")))
    (one,) = state.quarantined()
    assert (one.key, one.error, one.reason, one.tries) == (
        *("1.jpg", "BadPicture", "still empty", 2),
    )
    change_source(photos, dest)
    assert look(state, photos, dest).quarantined == 0
    finish(state, dest)
    assert [*state.quarantined()] == []


def test_the_list_for_people(photos: Path, dest: Path) -> None:
    gone = photos.parent / "list.csv"
    gone.write_bytes(b"path\nphotos/1.jpg\nnone.jpg\ncaf\xe9.jpg\n")
    for _ in range(2):
        with State(dest) as state:
            look(state, gone, dest)
            for key in set(waits(state)) - {"photos/1.jpg"}:
                state.note(not_landed(key, BadPicture(f"{key}: there is no such file.")))
            finish(state, dest)
    lines = (dest / ".rmbg/quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [Quarantined(**json.loads(line)) for line in lines]
    assert [os.fsencode(row.key) for row in rows] == [b"none.jpg", b"caf\xe9.jpg"]
    assert rows[0].source == os.path.join("..", "none.jpg")
    assert rows[0].reason == "none.jpg: there is no such file."
    assert (rows[0].error, rows[0].tries) == ("BadPicture", 1)
    assert not (dest / ".rmbg/quarantine.part").exists()


def test_only_what_costs_nothing_waits_again(state: State, photos: Path, dest: Path) -> None:
    look(state, photos, dest)
    state.note(not_landed("1.jpg", BackendFailed("down")))
    state.note(not_landed("2.jpg", MayBeBilled("lost")))
    state.note(Landed("sub/3.jpg", {"sub/3.png": 4}))
    assert state.again() == 1
    assert waits(state) == ["1.jpg", "sub/4.jpg"]
    assert state.again() == 0
    counts = state.counts()
    assert (counts.failed, counts.waiting, counts.done_now) == (1, 2, 1)


def test_vanished_pictures_are_not_counted_and_not_forgotten(
    state: State, photos: Path, dest: Path
) -> None:
    look(state, photos, dest)
    finish(state, dest)
    (photos / "1.jpg").rename(photos.parent / "away.jpg")
    (photos / "1.png").write_bytes(b"x")
    assert look(state, photos, dest) == Survey(4, 3, 0, 1, {"new": 1})
    assert targets(state) == {"1.png": "1-2.png"}
    (photos.parent / "away.jpg").rename(photos / "1.jpg")
    assert look(state, photos, dest).done == 4


def test_targets_stay_when_pictures_come(state: State, photos: Path, dest: Path) -> None:
    (photos / "1.png").write_bytes(b"x")
    look(state, photos, dest, mask=True)
    first = targets(state)
    assert first["1.jpg"] == "1.png"
    assert first["1.png"] == "1-2.png"
    assert {item.mask for item in state.waiting() if "1" in item.key} == {
        *("1-mask.png", "1-2-mask.png"),
    }
    for name in ("1.JPEG", "1-2.tif", "1-mask.jpg", "0.jpg"):
        (photos / name).write_bytes(b"x")
    look(state, photos, dest, mask=True)
    second = targets(state)
    assert {key: second[key] for key in first} == first
    assert second["1.JPEG"] == "1-3.png"
    assert second["1-2.tif"] == "1-2-2.png"
    assert second["1-mask.jpg"] == "1-mask-2.png"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="one file there")
def test_names_that_other_systems_take_for_the_same(
    state: State, tmp_path: Path, dest: Path
) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    for name in ("a.jpg", "A.jpg", "caf\u00e9.jpg", "cafe\u0301.jpg", "stra\u00dfe.jpg"):
        (folder / name).write_bytes(b"x")
    (folder / "STRASSE.jpg").write_bytes(b"x")
    look(state, folder, dest)
    assert len({place(target) for target in targets(state).values()}) == 6


def test_numbers_stay_when_pictures_come(state: State, photos: Path, dest: Path) -> None:
    pattern = "{folder}/{index:03d}{suffix}"
    look(state, photos, dest, pattern=pattern)
    assert targets(state)["sub/4.jpg"] == "sub/004.png"
    finish(state, dest)
    (photos / "0.jpg").write_bytes(b"x")
    assert look(state, photos, dest, pattern=pattern).done == 4
    assert targets(state) == {"0.jpg": "005.png"}


def test_outputs_of_a_manifest_may_be_exchanged(state: State, photos: Path, dest: Path) -> None:
    manifest = photos.parent / "list.csv"
    manifest.write_text("path,output\nphotos/1.jpg,a\nphotos/2.jpg,b\n")
    look(state, manifest, dest)
    assert [*targets(state).values()] == ["a.png", "b.png"]
    manifest.write_text("path,output\nphotos/1.jpg,b\nphotos/2.jpg,a\nphotos/2.jpg,a\n")
    look(state, manifest, dest)
    assert [*targets(state).values()] == ["b.png", "a.png"]
    manifest.write_text("path,output\nphotos/1.jpg,b\nphotos/2.jpg,a\nphotos/1.jpg,c\n")
    with pytest.raises(BadOption, match=r"photos/1.jpg' is listed more than once"):
        look(state, manifest, dest)
    assert state.counts().total == 2  # all of it or nothing
    assert [*targets(state).values()] == ["b.png", "a.png"]


def test_a_folder_with_the_name_of_a_result(state: State, photos: Path, dest: Path) -> None:
    (photos / "1.png").mkdir()
    (photos / "1.png/deep.jpg").write_bytes(b"x")
    look(state, photos, dest)
    finish(state, dest)
    assert look(state, photos, dest).done == 5


def test_waiting_is_a_sequence_that_stays(state: State, tmp_path: Path, dest: Path) -> None:
    items = [Item(f"{n}.jpg", tmp_path / f"{n}.jpg", f"{n}.png", None) for n in range(700)]
    state.survey(items, RECIPE)
    waiting = state.waiting()
    assert len(waiting) == 700
    assert [item.key for item in waiting] == [item.key for item in items]
    for item in items[:300]:
        state.note(Landed(item.key, {item.target: 1}))
    assert waiting[0] == items[0]
    assert waiting[-1] == items[-1]
    assert [*waiting[5:600:250]] == items[5:600:250]
    assert [*reversed(waiting)] == items[::-1]
    with pytest.raises(IndexError):
        waiting[700]
    assert len(state.waiting()) == 400
    assert [*state.waiting()] == items[300:]
    assert state.counts().done_now == 300
    with pytest.raises(KeyError):
        state.note(Landed("other.jpg"))


def test_reading_it_once_more_takes_no_result_away(photos: Path, dest: Path) -> None:
    with State(dest) as state:
        look(state, photos, dest)
        waiting = state.waiting()
        finish(state, dest)
        assert len([*waiting]) == 4
    with State(dest) as state:
        assert look(state, photos, dest).done == 4


def test_any_thread_may_call(state: State, tmp_path: Path) -> None:
    items = [Item(f"{n}", tmp_path / f"{n}.jpg", f"{n}.png", None) for n in range(400)]
    state.survey(items, RECIPE)
    waiting = state.waiting()

    def work(part: int) -> None:
        for item in waiting[part::4]:
            state.note(Landed(item.key, {item.target: 1}, cost=Decimal("0.001")))

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counts = state.counts()
        assert counts.done_now + counts.waiting == 400
        time.sleep(0.001)
    assert (state.counts().done_now, state.counts().cost) == (400, Decimal("0.4"))


def test_without_a_survey_nothing_waits(dest: Path) -> None:
    with State(dest) as state:
        assert len(state.waiting()) == state.counts().total == 0
        state.close()
    assert not (dest / ".rmbg/quarantine.jsonl").exists()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_a_name_that_is_not_utf_8(state: State, photos: Path, dest: Path) -> None:
    Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.jpg")).write_bytes(b"x")
    look(state, photos, dest, mask=True)
    finish(state, dest)
    assert b"caf\xe9-mask.png" in os.listdir(os.fsencode(dest))
    assert look(state, photos, dest, mask=True).done == 5


def test_a_file_of_the_far_future(state: State, photos: Path, dest: Path) -> None:
    os.utime(photos / "1.jpg", (2**33, 2**33))
    look(state, photos, dest)
    finish(state, dest)
    assert look(state, photos, dest).done == 4


HOLD = """
from rmbg_nodes.batch.state.progress import State
state = State(folder)
print("ready", flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time(dest: Path) -> None:
    other = start(HOLD, dest)
    try:
        until_said(other, "ready")
        with pytest.raises(BadOption, match=rf"Another run is at work on {dest}"):
            State(dest)
    finally:
        other.kill()
        other.communicate()
    with State(dest), pytest.raises(BadOption, match="Another run"):
        State(dest)


WORK = """
from rmbg_nodes.batch.sources.items import find_items
from rmbg_nodes.batch.recipe.naming import Naming
from rmbg_nodes.batch import Landed
from rmbg_nodes.batch.state.progress import State
dest = folder / "out"
state = State(dest)
state.survey(find_items([str(folder / "photos")], dest, Naming(), mask=False), "a" * 64)
print("ready", flush=True)
said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for item in state.waiting():
    (dest / item.target).write_bytes(b"result")
    state.note(Landed(item.key, {item.target: 6}))
    os.write(said, item.key.encode() + b"\\n")
"""


@pytest.mark.whole
def test_killed_at_any_moment(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "out").mkdir()
    for number in range(5_000):
        (tmp_path / f"photos/{number}.jpg").touch()
    worker = start(WORK, tmp_path)
    until_said(worker, "ready")
    while not ((tmp_path / "said").exists() and (tmp_path / "said").stat().st_size):
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.1))
    worker.kill()
    worker.communicate()
    said = {*(tmp_path / "said").read_text().split()}
    assert 0 < len(said) < 5_000
    with State(tmp_path / "out") as state:
        seen = look(state, tmp_path / "photos", tmp_path / "out")
        assert len(said) <= seen.done <= len(said) + 1  # noted, and killed before it was said
        assert not said & {*waits(state)}
        assert seen.total == 5_000


def test_a_damaged_file(dest: Path) -> None:
    State(dest).close()
    file = dest / ".rmbg/state.sqlite"
    content = file.read_bytes()
    file.write_bytes(content[:5000] + b"\xff" * 9000 + content[14000:])
    with pytest.raises(BadOption, match=rf"is damaged .*delete the folder {dest}/.rmbg.*paid for"):
        State(dest)
    file.write_bytes(b"no database at all, but long enough to be one")
    with pytest.raises(BadOption, match="is damaged"):
        State(dest)
    file.unlink()
    State(dest).close()


def test_a_file_of_a_later_version(dest: Path) -> None:
    State(dest).close()
    connection = sqlite3.connect(dest / ".rmbg/state.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(BadOption, match="later version of this package; update it, or delete"):
        State(dest)


@pytest.mark.parametrize("version", [1, 0])  # 0: other programs set it back
def test_what_a_later_version_added_is_left_alone(photos: Path, dest: Path, version: int) -> None:
    with State(dest) as state:
        look(state, photos, dest)
        state.note(Landed(next(iter(state.waiting())).key))
    connection = sqlite3.connect(dest / ".rmbg/state.sqlite")
    connection.execute("ALTER TABLE pictures ADD COLUMN region TEXT NOT NULL DEFAULT 'eu'")
    connection.execute("ALTER TABLE places ADD COLUMN region TEXT NOT NULL DEFAULT 'eu'")
    connection.execute("CREATE TABLE later (id INTEGER)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with State(dest) as state:
        found = look(state, photos, dest)
        for item in list(state.waiting()):
            state.note(not_landed(item.key, BadPicture("no")))
        assert state.counts().quarantined == found.waiting > 0
        assert len(list(state.quarantined())) == found.waiting


@pytest.mark.parametrize("begun", [False, True])
def test_where_wal_is_refused(photos: Path, dest: Path, begun: bool) -> None:
    if begun:  # on another machine, that could
        State(dest).close()
        assert (dest / ".rmbg/state.sqlite").read_bytes()[18] == 2  # WAL
    (dest / ".rmbg/state.sqlite-shm").mkdir(parents=True)  # no shared memory to be had
    for done in (0, 4):
        with State(dest) as state:
            assert look(state, photos, dest).done == done
            finish(state, dest)
    assert (dest / ".rmbg/state.sqlite").read_bytes()[18] == 1


def test_what_a_killed_run_was_writing_is_taken_away(dest: Path) -> None:
    State(dest).close()
    half = dest / "shoes" / ".rmbg-0123456789abcdef.part"
    half.parent.mkdir()
    half.write_bytes(b"half a picture")
    State(dest).close()
    assert half.exists()  # the run before came to its end, so this is somebody else's
    (dest / ".rmbg" / "lock").write_bytes(b"at work")  # as a killed one leaves it
    State(dest).close()
    assert not half.exists()
    assert (dest / ".rmbg" / "lock").read_bytes() == b""


def test_no_place_for_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(BadOption, match="cannot be written"):
        State(tmp_path / "file")
    (tmp_path / "out/.rmbg/state.sqlite").mkdir(parents=True)
    with pytest.raises(BadOption, match="cannot be used"):
        State(tmp_path / "out")


def test_a_full_disk(state: State, photos: Path, dest: Path) -> None:
    look(state, photos, dest)
    state._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(BadOption, match=r"cannot be used \(database or disk is full\)"):
        state.note(not_landed("1.jpg", BadPicture("x" * 100_000)))
    assert state.counts().quarantined == 0


_NAME = st.text("ab.-2A/\u00e9", min_size=1, max_size=6)
_WISHES = st.lists(st.tuples(_NAME, st.booleans()), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(_WISHES, min_size=1, max_size=3))
def test_no_two_pictures_share_a_target(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[tuple[str, bool]]]
) -> None:
    dest = tmp_path_factory.mktemp("out")
    owners: dict[str, tuple[str, str]] = {}
    with State(dest) as state:
        for run in runs:
            items = []
            for number, (name, mask) in enumerate(run):
                target = Naming().target("", name, {})
                masked = mask_of(target) if mask else None
                items.append(Item(f"{name}#{number}", dest / name, target, masked))
            state.survey(items, RECIPE)
            for item in state.waiting():
                for path in filter(None, (item.target, item.mask)):
                    assert owners.setdefault(place(path), (item.key, path)) == (item.key, path)
    files = {*owners}
    folders = {"/".join(p.split("/")[:n]) for p in files for n in range(1, p.count("/") + 1)}
    assert not files & folders
