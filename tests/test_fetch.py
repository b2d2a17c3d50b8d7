"""`--fetch`: pictures at addresses, from public hosts only, their tokens kept nowhere."""

# Pins the inside of backends.hosted.fetching
# Pins the inside of backends.hosted.http.runtime

from __future__ import annotations

import io
import json
import logging
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.backends.hosted import fetching
from rmbg_nodes.backends.hosted.fetching import Fetcher
from rmbg_nodes.backends.hosted.http.runtime import Runtime
from rmbg_nodes.batch import Recipe, run
from rmbg_nodes.cli import main
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import BadOption, Cancelled, Offline
from rmbg_nodes.demo.scenes import render
from rmbg_nodes.tests.support.clients import lookup
from rmbg_nodes.tests.support.loopback import Line, Loopback, http

TOKEN = "s3cr3t-signature"


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))


def png(mirrored: bool = False) -> bytes:
    levels = (render("soft", 1, (96, 96), backdrop="studio").image * 255).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels[:, ::-1] if mirrored else levels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server of the user's own: the one exception from public addresses."""
    plain, mirrored = png(), png(mirrored=True)

    async def answer(line: Line) -> bytes | None:
        path, _, query = line.heard.target.partition("?")
        if path.startswith("/missing"):
            return http(404)
        if path == "/inward.png":
            return http(302, b"", {"Location": f"http://127.0.0.1:9/x.png?sig={TOKEN}"})
        if path == "/words.png":
            return http(200, b"no picture", {"Content-Type": "image/png"})
        if path == "/slow.png":
            await line.silence()
        return http(200, mirrored if "id=2" in query else plain, {"Content-Type": "text/plain"})

    with Loopback(answer) as server:
        monkeypatch.setenv("RMBG_BRIA_URL", server.url)
        yield server


def remove(*arguments: str) -> int:
    return main(["remove", *arguments, "--backend", "keyer"])


def batch(source: str | Path, dest: Path, *more: str) -> int:
    return main(["batch", str(source), "-o", str(dest), "--backend", "keyer", *more])


def rows(tmp_path: Path, *addresses: str) -> Path:
    file = tmp_path / "list.csv"
    file.write_text("\n".join(["path", *addresses]) + "\n", encoding="utf-8")
    return file


def alpha(file: Path) -> object:
    with Image.open(file) as image:
        return np.asarray(image)[..., 3]


def holds(folder: Path, words: str) -> list[str]:
    return [
        str(path)
        for path in folder.rglob("*")
        if words in path.name or (path.is_file() and words.encode() in path.read_bytes())
    ]


def test_remove_fetches_and_cuts_out(tmp_path: Path, shop: Loopback) -> None:
    url = f"{shop.url}/shoes/red%20shoe.jpg?sig={TOKEN}"
    assert remove(url, url + "#again", "--fetch", "-o", f"{tmp_path}/out/") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["red shoe.png"]
    assert np.ptp(alpha(tmp_path / "out" / "red shoe.png")) == 255  # type: ignore[call-overload]
    assert [heard.target for heard in shop.heard] == [f"/shoes/red%20shoe.jpg?sig={TOKEN}"]


def test_a_fetched_picture_has_no_folder_of_its_own(
    shop: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remove(f"{shop.url}/a.png?sig={TOKEN}", "--fetch") == 2
    said = capsys.readouterr().err
    assert "has no folder; name the file to write" in said
    assert TOKEN not in said


def test_a_manifest_of_addresses_is_fetched_once_and_taken_up_again(
    tmp_path: Path, shop: Loopback
) -> None:
    one = f"{shop.url}/a/view.png?id=1&sig={TOKEN}"
    two = f"{shop.url}/a/view.png?id=2&sig={TOKEN}"
    listed, out = rows(tmp_path, one, two, f"{one}#top"), tmp_path / "out"
    assert batch(listed, out, "--fetch") == 0
    assert sorted(path.name for path in (out / "a").iterdir()) == ["view-2.png", "view.png"]
    first, second = (alpha(out / "a" / name) for name in ("view.png", "view-2.png"))
    assert not np.array_equal(first, second)  # type: ignore[arg-type]
    assert len(shop.heard) == 2
    assert batch(listed, out, "--fetch") == 0
    assert len(shop.heard) == 2
    assert batch(listed, out, "--fetch", "--dry-run", "--force") == 0
    assert len(shop.heard) == 2


def test_an_address_as_a_source_beside_a_folder(tmp_path: Path, shop: Loopback) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "own.png").write_bytes(png())
    sources = [f"{shop.url}/deep/far.png?sig={TOKEN}", str(tmp_path / "in")]
    summary = run(sources, tmp_path / "out", Recipe(backend="keyer"), fetch=True)
    assert summary.counts.done_now == 2
    assert (tmp_path / "out" / "far.png").is_file()
    assert (tmp_path / "out" / "own.png").is_file()


def test_without_the_word_nothing_is_fetched(
    tmp_path: Path, shop: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{shop.url}/a.png?sig={TOKEN}"
    asks = "is an address, and addresses are not fetched; add --fetch, or download the picture"
    assert remove(url, "-o", f"{tmp_path}/out/") == 2
    assert batch(url, tmp_path / "out") == 2
    assert batch(rows(tmp_path, url), tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert said.count(asks) == 3
    assert TOKEN not in said
    assert shop.heard == []


def test_what_is_no_web_address_is_not_fetched_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(rows(tmp_path, "s3://bucket/a.png"), tmp_path / "out", "--fetch") == 2
    assert "line 2: s3://bucket/a.png is an address, and addresses are not fetched; download" in (
        capsys.readouterr().err
    )


def test_one_that_fails_fails_alone_and_is_tried_again(
    tmp_path: Path, shop: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = rows(tmp_path, f"{shop.url}/missing.png?sig={TOKEN}", f"{shop.url}/a.png")
    assert batch(listed, tmp_path / "out", "--fetch", "--json") == 1
    said = capsys.readouterr()
    assert "/missing.png (query " in said.err
    assert "was not fetched (127.0.0.1 answered 404 Not Found)" in said.err
    summary = json.loads(said.out)
    assert (summary["done_now"], summary["failed"], summary["quarantined"]) == (1, 1, 0)
    assert summary["reasons"] == {"NotFetched": 1}
    assert len(shop.heard) == 2
    assert batch(listed, tmp_path / "out", "--fetch") == 1
    assert [heard.target.partition("?")[0] for heard in shop.heard].count("/missing.png") == 2
    assert remove(str(shop.url) + "/missing.png", f"{shop.url}/a.png", "--fetch", "-o",
                  f"{tmp_path}/more/") == 1  # fmt: skip
    assert (tmp_path / "more" / "a.png").is_file()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/a.png",
        "https://10.0.0.1/a.png",
        "http://169.254.169.254/latest/a.png",
        "http://localhost/a.png",
        "https://user:word@example.com/a.png",
        "{shop}/inward.png",
    ],
)
def test_only_public_addresses_are_asked(
    tmp_path: Path, shop: Loopback, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = rows(tmp_path, address.format(shop=shop.url), f"{shop.url}/good.png")
    assert batch(listed, tmp_path / "out", "--fetch") == 1
    said = capsys.readouterr().err
    assert "was not fetched" in said
    assert "not on the public internet" in said or "has a user name" in said
    assert "word@" not in said
    assert TOKEN not in said
    assert (tmp_path / "out" / "good.png").is_file()


def test_a_name_that_leads_inward_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Runtime(lookup)
    monkeypatch.setattr(fetching, "runtime", lambda: inside)
    try:
        url = "http://rebound.example.com/a.png"
        assert batch(rows(tmp_path, url), tmp_path / "out", "--fetch") == 1
    finally:
        inside.close()
    assert "its address is not on the public internet" in capsys.readouterr().err


def test_offline_refuses(
    tmp_path: Path,
    shop: Loopback,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RMBG_OFFLINE", "1")
    url = f"{shop.url}/a.png"
    assert remove(url, "--fetch", "-o", f"{tmp_path}/out/") == 2
    assert batch(url, tmp_path / "out", "--fetch") == 2
    assert capsys.readouterr().err.count("RMBG_OFFLINE is on, so no address is fetched") == 2
    with pytest.raises(Offline):
        run(url, tmp_path / "out", Recipe(backend="keyer"), fetch=True)
    assert shop.heard == []


def test_ray_fetches_nothing(tmp_path: Path, shop: Loopback) -> None:
    with pytest.raises(BadOption, match="by the local engine only"):
        run(f"{shop.url}/a.png", tmp_path / "out", engine="ray", fetch=True)
    assert shop.heard == []


def test_the_token_is_kept_nowhere(
    tmp_path: Path,
    shop: Loopback,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    names = ("a.png", "words.png", "missing.png", "inward.png")
    urls = [f"{shop.url}/{name}?sig={TOKEN}#{TOKEN}" for name in names]
    urls.append(f"https://{TOKEN}@10.0.0.1/u.png")
    (tmp_path / "lists").mkdir()
    listed = rows(tmp_path / "lists", *urls)
    out = tmp_path / "out"
    assert batch(listed, out, "--fetch", "--json") == 1
    assert remove(*urls, "--fetch", "--json", "-o", f"{out}/more/") == 1
    said = capsys.readouterr()
    assert TOKEN not in said.err + said.out + caplog.text
    assert holds(out, TOKEN) == []
    assert holds(tmp_path / "data", TOKEN) == []
    (quarantined,) = (out / ".rmbg" / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(quarantined)["source"].startswith(f"{shop.url}/words.png (query ")
    with sqlite3.connect(out / ".rmbg" / "state.sqlite") as state:
        keys = [key.decode() for (key,) in state.execute("SELECT key FROM pictures")]
    assert len(keys) == len(urls)


def test_what_the_path_says_stays_under_dest(tmp_path: Path, shop: Loopback) -> None:
    odd = ("/%2e%2e/%2e%2e/up.png", "/x%2Fy%5Cz%00.png", "/con.png", "/", "/" + "n" * 300 + ".png")
    listed = rows(tmp_path, *(shop.url + path for path in odd))
    assert batch(listed, tmp_path / "out", "--fetch") == 0
    made = [path for path in (tmp_path / "out").rglob("*.png")]
    names = {str(path.relative_to(tmp_path / "out")) for path in made}
    assert {"up.png", "x_y_z_.png", "_con.png"} <= names
    assert len(names) == 5
    assert list(tmp_path.rglob("*.png")) == made


def test_an_address_may_be_longer_than_a_path(tmp_path: Path, shop: Loopback) -> None:
    url = f"{shop.url}/a.png?sig={'x' * 5000}.csv"
    assert remove(url, "--fetch", "-o", f"{tmp_path}/one/") == 0
    assert batch(url, tmp_path / "two", "--fetch") == 0
    assert batch(rows(tmp_path, url), tmp_path / "three", "--fetch") == 0
    assert all((tmp_path / name / "a.png").is_file() for name in ("one", "two", "three"))


def test_stopping_ends_what_is_being_fetched(tmp_path: Path, shop: Loopback) -> None:
    fetcher = Fetcher(Settings())
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            fetcher("slow", f"{shop.url}/slow.png")
        except Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not shop.heard:
        thread.join(0.01)
    fetcher.stop()
    thread.join(10)
    assert len(ended) == 1
    with pytest.raises(Cancelled):
        fetcher("slow", f"{shop.url}/slow.png")


def test_ctrl_c_does_not_wait_for_an_address(tmp_path: Path, shop: Loopback) -> None:
    listed = rows(tmp_path, *(f"{shop.url}/slow.png?{number}" for number in range(9)))
    command = [sys.executable, "-m", "rmbg_nodes", "batch", str(listed), "--fetch", "--workers"]
    running = subprocess.Popen([*command, "2", "--backend", "keyer", "-o", str(tmp_path / "out")])
    try:
        while len(shop.heard) < 2:
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        assert running.wait(40) == 130  # far less than it would wait for an answer
    finally:
        running.kill()
    assert len(shop.heard) == 2
