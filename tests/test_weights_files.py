"""Reading weight files: what is taken, and what is refused with a sentence."""

# Pins the inside of backends.local.convert
# Pins the inside of backends.local.files

from __future__ import annotations

import ast
import os
import pickle
import random
import socket
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rmbg_nodes.backends.local.convert import convert
from rmbg_nodes.backends.local.files import read_state_dict
from rmbg_nodes.core.errors import BadOption, WeightsUnusable

ROOT = Path(__file__).resolve().parent.parent
TENSORS = {
    "a.weight": torch.linspace(-2, 2, 6000).reshape(60, 100),
    "a.bias": torch.arange(60, dtype=torch.float16),
    "b.running_var": torch.ones(7, dtype=torch.bfloat16),
    "b.num_batches_tracked": torch.tensor(5),
}


@pytest.fixture
def safe(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "w.safetensors", metadata={"format": "pt"})
    return tmp_path / "w.safetensors"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save(TENSORS, tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    torch.save(TENSORS, tmp_path / "w.bin", _use_new_zipfile_serialization=False)
    return tmp_path / "w.bin"


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(
        found[name].dtype == value.dtype and torch.equal(found[name], value)
        for name, value in TENSORS.items()
    )


def refused(path: Path) -> str:
    with pytest.raises(WeightsUnusable) as caught:
        read_state_dict(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert len(said) - len(str(path)) < 250
    assert "\n" not in said
    return said


def test_every_format_gives_the_same_tensors(safe: Path, saved: Path, older: Path) -> None:
    for path in (safe, saved, older):
        assert same(read_state_dict(path)), path.name


def test_the_content_decides_not_the_name(safe: Path, saved: Path) -> None:
    assert same(read_state_dict(saved.rename(saved.with_suffix(".safetensors"))))
    assert same(read_state_dict(safe.rename(safe.with_suffix(".pth"))))


class Malicious:
    """What an attacker saves: unpickling it would run a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.system, (f'echo owned > "{self.mark}"',)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_never_run(tmp_path: Path, zipped: bool) -> None:
    mark, path = tmp_path / "owned", tmp_path / "w.pth"
    bad = {"a.weight": torch.zeros(3), "b": Malicious(mark)}
    torch.save(bad, path, _use_new_zipfile_serialization=zipped)
    said = refused(path)
    assert "run code" in said
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the file would have done it"


def test_a_bare_pickle_that_runs_code(tmp_path: Path) -> None:
    mark, path = tmp_path / "owned", tmp_path / "w.bin"
    path.write_bytes(pickle.dumps(Malicious(mark), protocol=2))
    refused(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:566e", "git lfs pull"),
        (b"<!doctype html><title>Sign in</title>", "web page"),
        (b'{"architectures": ["BiRefNet"]}', "JSON"),
        (b"GGUF\x03\x00\x00\x00\x00\x00", "neither safetensors nor"),
        (b"\x89PNG\r\n\x1a\n", "neither safetensors nor"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00{", "damaged or incomplete"),
        (b"PK\x03\x04", "damaged or incomplete"),
        (b"\x80\x02", "damaged"),
        (b"\x80\x02J\x01", "damaged or incomplete"),  # a number that ends early
    ],
)
def test_what_is_no_weights(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert words in refused(path)


def test_a_plain_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "damaged or incomplete" in refused(tmp_path / "w.pth")


@pytest.mark.parametrize("kind", ["safe", "saved", "older"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file(kind: str, share: float, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["safe", "saved", "older"])
def test_a_tampered_file_is_read_or_refused(kind: str, request: pytest.FixtureRequest) -> None:
    """Bytes flipped anywhere: never another exception, never a crash."""
    path: Path = request.getfixturevalue(kind)
    whole, draw = path.read_bytes(), random.Random(7)
    outcomes = set()
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            spot = draw.choice([draw.randrange(len(whole)), draw.randrange(min(900, len(whole)))])
            content[spot] = draw.randrange(256)
        path.unlink()
        path.write_bytes(content)
        try:
            read_state_dict(path)
            outcomes.add("read")
        except WeightsUnusable:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.zeros(3), "a Tensor instead of named tensors"),
        ({}, "a dict instead of named tensors"),
        ([torch.zeros(3)], "a list"),
        ({"state_dict": {"a": torch.zeros(3)}, "epoch": 3}, "a dict under 'state_dict'"),
        ({1: torch.zeros(3)}, "under 1"),
        ({"a": torch.zeros(3, device="meta")}, "plain tensor"),
        ({"a": torch.eye(3).to_sparse()}, "plain tensor"),
    ],
)
def test_a_file_that_is_no_state_dict(tmp_path: Path, content: object, words: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    assert words in refused(tmp_path / "w.pth")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "cannot be read (No such file" in refused(tmp_path / "none.safetensors")
    with pytest.raises(WeightsUnusable, match="cannot be read"):
        read_state_dict(tmp_path)


def test_an_unreadable_file(safe: Path) -> None:
    safe.chmod(0)
    if os.access(safe, os.R_OK):
        pytest.skip("this user may read everything")
    assert "Permission denied" in refused(safe)


def test_the_tensors_are_mapped_not_copied(tmp_path: Path) -> None:
    """fp16 files load as they are: no float32 copy, no second copy in memory."""
    resource = pytest.importorskip("resource")
    big = {f"{n}": torch.zeros(8_000_000, dtype=torch.float16) for n in range(8)}  # 128 MB
    save_file(big, tmp_path / "w.safetensors")
    torch.save(big, tmp_path / "w.pth")
    del big
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("w.safetensors", "w.pth"):
        found = read_state_dict(tmp_path / name)
        assert {value.dtype for value in found.values()} == {torch.float16}
        del found
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_no_socket_is_opened(saved: Path, tmp_path: Path, monkeypatch) -> None:
    def blocked(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", blocked)
    monkeypatch.setattr(socket, "create_connection", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    convert(saved, tmp_path / "out.safetensors")
    assert same(read_state_dict(tmp_path / "out.safetensors"))


def test_convert_keeps_names_values_and_types(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out.safetensors"
    assert convert(saved, target) == len(TENSORS)
    assert same(load_file(target))
    assert [path.name for path in target.parent.iterdir()] == ["out.safetensors"]


def test_convert_to_half_leaves_integers(saved: Path, tmp_path: Path) -> None:
    convert(saved, tmp_path / "out.safetensors", half=True)
    found = load_file(tmp_path / "out.safetensors")
    assert {name: value.dtype for name, value in found.items()} == {
        "a.weight": torch.float16,
        "a.bias": torch.float16,
        "b.running_var": torch.float16,
        "b.num_batches_tracked": torch.int64,
    }
    assert torch.equal(found["a.weight"], TENSORS["a.weight"].half())


def test_convert_refuses_what_half_precision_cannot_hold(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.tensor([1.0, 1e6])}, tmp_path / "w.pth")
    with pytest.raises(WeightsUnusable, match=r"a\.weight .*--fp16"):
        convert(tmp_path / "w.pth", tmp_path / "out.safetensors", half=True)
    assert not (tmp_path / "out.safetensors").exists()


def test_convert_strips_the_prefixes_of_wrappers(tmp_path: Path) -> None:
    weights = {"module._orig_mod.a": torch.zeros(2), "_orig_mod.module.b": torch.ones(2)}
    torch.save(weights, tmp_path / "w.pth")
    convert(tmp_path / "w.pth", tmp_path / "out.safetensors")
    assert set(load_file(tmp_path / "out.safetensors")) == {"a", "b"}


def test_convert_writes_views_and_shared_tensors(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    weights = {"whole": base, "same": base, "turned": base.t(), "part": base[1]}
    torch.save(weights, tmp_path / "w.pth")
    convert(tmp_path / "w.pth", tmp_path / "out.safetensors")
    found = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(found[name], value) for name, value in weights.items())


def test_convert_overwrites_nothing(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    target.write_bytes(b"mine")
    with pytest.raises(BadOption, match="there already"):
        convert(saved, target)
    with pytest.raises(BadOption, match=r"must end in \.safetensors"):
        convert(saved, tmp_path / "out.pth")
    with pytest.raises(BadOption, match="cannot be written"):
        convert(saved, target / "below.safetensors")
    assert target.read_bytes() == b"mine"


def test_every_load_in_the_package_is_restricted() -> None:
    """`weights_only=True` stands in every call of torch.load; the name is looked for as written."""
    loads = [
        {keyword.arg: keyword.value for keyword in node.keywords}
        for folder in ("backends", "core", "commands", "nodes")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert loads
    for keywords in loads:
        assert ast.unparse(keywords["weights_only"]) == "True"
