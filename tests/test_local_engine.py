"""The local engine on small networks that are loaded from real files."""

# Pins the inside of backends.local.engine
# Pins the inside of backends.local.files
# Pins the inside of backends.local.find
# Pins the inside of backends.local.preprocess
# Pins the inside of backends.local.released
# Pins the inside of config.devices
# Pins the inside of config.timing

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rmbg_nodes.api import remove_background
from rmbg_nodes.backends.local import engine, network_from_state_dict
from rmbg_nodes.backends.local.engine import LocalBackend, open_local
from rmbg_nodes.backends.local.files import read_state_dict
from rmbg_nodes.backends.local.find import Found, identify
from rmbg_nodes.backends.local.preprocess import BIREFNET, ISNET, prepare, stretch
from rmbg_nodes.backends.local.released import Released
from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.config import timing
from rmbg_nodes.config.devices import PlainResident
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import (
    BackendMissing,
    BadOption,
    Cancelled,
    LicenceRefused,
    Offline,
    WeightsMissing,
    WeightsUnusable,
)
from rmbg_nodes.core.types import Backend, Failure, Job, Matte, Resident
from rmbg_nodes.pipeline.gate import open_backend
from rmbg_nodes.tests.conformance import BackendContract, Recorder, disc_frame
from rmbg_nodes.tests.support.networks import small_birefnet, small_isnet

SIDE = 256


def write_weights(path: Path, family: str) -> Path:
    """A small network's weights as a real file."""
    network = small_isnet() if family == "isnet" else small_birefnet()
    tensors = network.float().state_dict().items()
    save_file({name: value.contiguous() for name, value in tensors}, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return {
        family: write_weights(folder / f"{family}.safetensors", family)
        for family in ("birefnet", "isnet")
    }


class Timed(PlainHost):
    """A CPU that takes so many times as long in half precision."""

    def __init__(self, folder: Path, times_as_long: float = 1.0) -> None:
        super().__init__({"XDG_DATA_HOME": str(folder), "RMBG_DEVICE": "cpu"}, platform="linux")
        self.times_as_long = times_as_long

    def slowdown(self, dtype: torch.dtype) -> float:
        return 1.0 if dtype == torch.float32 else self.times_as_long


@pytest.fixture
def host(tmp_path: Path) -> PlainHost:
    return Timed(tmp_path)


def opened(host: Any, path: Path, **options: Any) -> LocalBackend:
    values: dict[str, Any] = {
        "resolution": SIDE,
        "precision": "float32",
        "weights": str(path),
        "download": False,
        "patch_order": "auto",
        **options,
    }
    return open_local(find("local/rmbg-2.0"), host, **values)


def one(backend: Backend, index: int = 0) -> Matte:
    (outcome,) = backend.run([disc_frame(index)], Job())
    assert isinstance(outcome.result, Matte)
    return outcome.result


@pytest.mark.parametrize("family", ["birefnet", "isnet"])
def test_the_answer_is_the_networks_own(host: PlainHost, files: dict[str, Path], family: str):
    matte = one(opened(host, files[family]))
    network = network_from_state_dict(read_state_dict(files[family]))
    recipe = BIREFNET if family == "birefnet" else ISNET
    batch = prepare([disc_frame(0).pixels], SIDE, recipe, torch.device("cpu"))
    with torch.no_grad():
        logits = network(batch)[0, 0]
    expected = logits if family == "birefnet" else stretch(logits.sigmoid())
    assert matte.kind == ("logits" if family == "birefnet" else "alpha")
    torch.testing.assert_close(matte.values, expected, atol=2e-4, rtol=1e-4)


def test_facts_name_file_hash_and_device(host: PlainHost, files: dict[str, Path]):
    facts = one(opened(host, files["birefnet"])).facts
    assert facts.model == "birefnet.safetensors"
    assert facts.weights_sha256 is not None
    assert len(facts.weights_sha256) == 64
    assert facts.device == "cpu, float32"
    assert facts.licence == "not-established"


def test_unknown_weights_are_refused_for_commercial_use(files: dict[str, Path]):
    options: dict[str, Any] = {"weights": str(files["birefnet"]), "resolution": SIDE}
    with pytest.raises(LicenceRefused, match="not established"):
        open_backend("local/birefnet", usage="commercial", options=options)
    backend = open_backend("local/birefnet", usage="non-commercial", options=options)
    with pytest.raises(LicenceRefused, match="not established"):
        remove_background(disc_frame(0).pixels[None], backend, usage="commercial")


def test_missing_weights_are_looked_for_and_named(tmp_path: Path):
    host = PlainHost({"XDG_DATA_HOME": str(tmp_path), "HF_HOME": str(tmp_path)}, platform="linux")
    with pytest.raises(WeightsMissing, match=r"model\.safetensors"):
        open_backend("local/rmbg-2.0", host=host)


def test_neither_loading_nor_inference_opens_a_socket(
    host: PlainHost, files: dict[str, Path], monkeypatch
):
    def refuse(*_arguments, **_options):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    one(opened(host, files["birefnet"]))


@pytest.mark.parametrize("side", [100, 250, 33, 4096, -32])
def test_a_resolution_that_cannot_work_is_refused(host: PlainHost, files, side: int):
    with pytest.raises(BadOption, match="multiple of 32"):
        opened(host, files["birefnet"], resolution=side)


def test_a_damaged_file_is_refused_in_a_sentence(host: PlainHost, files, tmp_path: Path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(files["birefnet"].read_bytes()[:5000])
    with pytest.raises(WeightsUnusable):
        one(opened(host, damaged))


class SmallMemory(PlainHost):
    """A device that runs out of memory above `most` pictures at a time."""

    def __init__(self, most: int, folder: Path) -> None:
        super().__init__({"XDG_DATA_HOME": str(folder)}, platform="linux")
        self.most = most
        self.sizes: list[int] = []
        self.freed = 0

    def room(self, bytes_each: int) -> int:
        return 99

    def free_memory(self) -> None:
        self.freed += 1

    def adopt(self, network: nn.Module) -> PlainResident:
        host = self

        class Limited(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                host.sizes.append(len(images))
                if len(images) > host.most:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
                return network(images)

        return PlainResident(Limited(), torch.device("cpu"))


@pytest.mark.whole
def test_out_of_memory_halves_the_chunk_and_goes_on(files, tmp_path: Path):
    small = SmallMemory(3, tmp_path)
    backend = opened(small, files["birefnet"], patch_order="wg hg c")
    outcomes = list(backend.run((disc_frame(i) for i in range(16)), Job()))
    assert [outcome.index for outcome in outcomes] == list(range(16))
    assert all(isinstance(outcome.result, Matte) for outcome in outcomes)
    assert small.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]  # halved, and never tried larger again
    assert small.freed == 2
    for index in (0, 7, 15):
        expected = one(opened(SmallMemory(99, tmp_path), files["birefnet"]), index)
        result = outcomes[index].result
        assert isinstance(result, Matte)
        torch.testing.assert_close(result.values, expected.values, atol=1e-4, rtol=1e-4)


def test_on_a_cpu_pictures_go_one_by_one(host: PlainHost, files):
    assert host.room(1) == 1
    backend = opened(host, files["isnet"])
    held, most = 0, 0

    def source():
        nonlocal held, most
        for index in range(4):
            held += 1
            most = max(most, held)
            yield disc_frame(index)

    for _ in backend.run(source(), Job()):
        held -= 1
    assert most == 1


def test_out_of_memory_at_one_picture_says_what_to_lower(files, tmp_path: Path):
    backend = opened(SmallMemory(0, tmp_path), files["birefnet"])
    outcomes = list(backend.run([disc_frame(0), disc_frame(1)], Job()))
    for outcome in outcomes:
        assert isinstance(outcome.result, Failure)
        assert "Lower the resolution" in str(outcome.result.error)


CLOSE = "close what else uses the device."


class Short(SmallMemory):
    """A device without memory for one picture, that takes so many times as long in a precision."""

    def __init__(self, folder: Path, usual: torch.dtype, slow: dict[torch.dtype, float]) -> None:
        super().__init__(0, folder)
        self.usual = usual
        self.slow = slow

    def precision(self) -> torch.dtype:
        return self.usual

    def slowdown(self, dtype: torch.dtype) -> float:
        return self.slow.get(dtype, 1.0)


@pytest.mark.parametrize(
    ("usual", "slow", "precision", "ways"),
    [
        (torch.float32, {}, "auto", "Lower the resolution, set precision to bfloat16, or "),
        (torch.float16, {}, "float32", "Lower the resolution, set precision to float16, or "),
        (torch.float16, {}, "auto", "Lower the resolution, or "),
        (
            torch.float32,
            {torch.bfloat16: 9.0},
            "float32",
            "Lower the resolution, set precision to float16, or ",
        ),
        (
            torch.float32,
            {torch.bfloat16: 9.0, torch.float16: 9.0},
            "float32",
            "Lower the resolution, or ",
        ),
    ],
)
def test_out_of_memory_offers_no_precision_that_is_refused(
    files, tmp_path: Path, usual, slow, precision: str, ways: str
):
    host = Short(tmp_path, usual, slow)
    (outcome,) = opened(host, files["isnet"], precision=precision).run([disc_frame(0)], Job())
    assert isinstance(outcome.result, Failure)
    assert str(outcome.result.error).endswith(f". {ways}{CLOSE}")


@pytest.mark.parametrize(
    ("times_as_long", "said"),
    [(1.0, f". Set precision to bfloat16, or {CLOSE}"), (9.0, f". {CLOSE.capitalize()}")],
)
def test_a_network_that_does_not_fit_offers_what_works(files, tmp_path: Path, times_as_long, said):
    class Full(Timed):
        def adopt(self, network: nn.Module) -> PlainResident:
            raise torch.OutOfMemoryError("CUDA out of memory")

    backend = opened(Full(tmp_path, times_as_long), files["isnet"])
    with pytest.raises(BackendMissing) as refused:
        one(backend)
    assert str(refused.value).endswith(said)


def test_half_precision_that_overflows_is_redone_in_float32(host: PlainHost, overflowing: Path):
    matte = one(opened(host, overflowing, precision="float16"))
    assert matte.values.isfinite().all()
    assert any("float32" in note for note in matte.facts.notes)
    assert matte.facts.device == "cpu, float32"


class Counting(Timed):
    """Counts how often a network is loaded; runs out of memory in float32 when told."""

    def __init__(self, folder: Path, *, small: bool = False) -> None:
        super().__init__(folder)
        self.adopted = 0
        self.small = small

    def room(self, bytes_each: int) -> int:
        return 8

    def adopt(self, network: Any) -> Resident:
        self.adopted += 1
        if self.small and network.dtype == torch.float32:

            def fail(*_arguments: Any) -> None:
                raise torch.OutOfMemoryError("CUDA out of memory")

            network.register_forward_pre_hook(fail)
        return super().adopt(network)


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_weights(tmp_path_factory.mktemp("large") / "large.safetensors", "birefnet")
    weights = load_file(path)
    weights["decoder.decoder_block1.conv_in.weight"] *= 1e7
    save_file(weights, path)
    return path


@pytest.mark.whole
def test_a_batch_that_overflows_loads_the_network_once_more(overflowing: Path, tmp_path: Path):
    host = Counting(tmp_path)
    outcomes = list(
        opened(host, overflowing, precision="float16").run((disc_frame(i) for i in range(5)), Job())
    )
    assert sorted(outcome.index for outcome in outcomes) == [0, 1, 2, 3, 4]
    for outcome in outcomes:
        assert isinstance(outcome.result, Matte)
        assert any("float32" in note for note in outcome.result.facts.notes)
    assert host.adopted == 2


@pytest.mark.whole
def test_memory_that_ends_in_the_second_attempt_fails_that_picture(overflowing: Path, tmp_path):
    host = Counting(tmp_path, small=True)
    backend = opened(host, overflowing, precision="float16")
    outcomes = list(backend.run((disc_frame(i) for i in range(3)), Job()))
    assert len(outcomes) == 3
    for outcome in outcomes:
        assert isinstance(outcome.result, Failure)
        assert "set precision" not in str(outcome.result.error)  # half precision has overflowed


def test_a_file_that_changed_since_is_not_run_under_its_old_licence(host: PlainHost, tmp_path):
    path = write_weights(tmp_path / "a.safetensors", "birefnet")
    backend = opened(host, path)
    write_weights(path, "isnet")
    with pytest.raises(WeightsUnusable, match="changed"):
        one(backend)


@pytest.mark.skipif(os.name == "nt", reason="a mapped file cannot be written there")
def test_a_file_that_is_written_into_while_it_is_open_ends_the_run(host: PlainHost, tmp_path):
    """On a CPU its tensors are mapped from it, so that the next picture would be another model's.
    The time that its size and time of writing are the same hides nothing."""
    path = write_weights(tmp_path / "a.safetensors", "birefnet")
    backend = opened(host, path)
    one(backend)
    stamp, content = path.stat(), path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(content) - 4)
        file.write(bytes(4 * [content[-1] ^ 1]))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(WeightsUnusable, match="changed"):
        one(backend)
    backend.close()


@pytest.mark.skipif(os.name == "nt", reason="a mapped file cannot be replaced there")
def test_a_file_that_is_replaced_while_it_is_open_stays_in_use(host: PlainHost, tmp_path):
    path = write_weights(tmp_path / "a.safetensors", "birefnet")
    backend = opened(host, path)
    before = one(backend)
    os.replace(write_weights(tmp_path / "b.safetensors", "isnet"), path)
    after = one(backend)
    assert torch.equal(before.values, after.values)
    assert after.facts.weights_sha256 == before.facts.weights_sha256
    backend.close()
    with pytest.raises(WeightsUnusable, match="changed"):
        one(backend)


def test_a_swap_between_the_check_and_the_reading_is_noticed(
    host: PlainHost, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_weights(tmp_path / "a.safetensors", "birefnet")
    backend = opened(host, path)

    def swapped(name: Path) -> dict[str, torch.Tensor]:
        kept = path.rename(tmp_path / "kept")
        path.write_bytes(files["isnet"].read_bytes())
        tensors = read_state_dict(name)
        os.replace(kept, path)  # and back, as if nothing had been
        return tensors

    monkeypatch.setattr(engine, "read_state_dict", swapped)
    with pytest.raises(WeightsUnusable, match="changed"):
        one(backend)


def test_the_network_is_named_by_what_it_is(host: PlainHost, files: dict[str, Path]):
    for family, architecture in (("birefnet", "BiRefNet"), ("isnet", "IS-Net")):
        facts = one(opened(host, files[family])).facts
        assert (facts.backend, facts.architecture) == ("local", architecture)


def test_closing_during_a_run_only_loads_again(host: PlainHost, files):
    backend = opened(host, files["isnet"])
    count = 0
    for _ in backend.run((disc_frame(i) for i in range(3)), Job()):
        backend.close()
        count += 1
    assert count == 3


def test_a_released_file_works_at_its_own_resolution(host: PlainHost, files):
    sizes = []

    class Small(PlainHost):
        def room(self, bytes_each: int) -> int:
            sizes.append(bytes_each)
            return super().room(bytes_each)

    small = Small(host.surroundings(), platform="linux")
    path = files["birefnet"]
    sha256 = identify(path, host).sha256
    for resolution, chosen, side in ((SIDE, 0, SIDE), (SIDE, 2 * SIDE, 2 * SIDE)):
        row = Released(
            "birefnet-hr", "a/b", path.name, 1, sha256, "birefnet-mit", "float32",
            patch_order="c hg wg", resolution=resolution,
        )  # fmt: skip
        backend = LocalBackend(
            find("local/birefnet-hr"), small, Found(path, sha256, row), chosen, "float32", None
        )
        matte = one(backend)
        assert tuple(matte.values.shape) == (side, side)
        assert matte.facts.notes == ()  # nothing was tried
        assert sizes.pop() == side * side * BIREFNET.bytes_per_pixel


def test_the_patch_order_is_a_setting(host: PlainHost, files):
    auto, later = (
        one(opened(host, files["birefnet"], patch_order=order)) for order in ("auto", "c hg wg")
    )
    same = one(opened(host, files["birefnet"], patch_order="wg hg c"))
    assert torch.equal(auto.values, same.values)
    assert not torch.equal(auto.values, later.values)


def test_offline_takes_the_download_switch_back(tmp_path: Path):
    host = PlainHost({"XDG_DATA_HOME": str(tmp_path), "HF_HOME": str(tmp_path)}, platform="linux")
    with pytest.raises(Offline, match="offline"):
        open_backend(
            "local/birefnet",
            settings=Settings(offline=True),
            host=host,
            options={"download": True},
        )


def test_a_flat_map_is_reported(host: PlainHost, tmp_path: Path):
    path = write_weights(tmp_path / "flat.safetensors", "isnet")
    weights = load_file(path)
    weights["side1.weight"] *= 0
    weights["side1.bias"] = torch.full_like(weights["side1.bias"], 4.0)
    save_file(weights, path)
    assert any("no subject found" in note for note in one(opened(host, path)).facts.notes)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_is_near(host: PlainHost, files, precision: str):
    half = one(opened(host, files["birefnet"], precision=precision))
    full = one(opened(host, files["birefnet"]))
    assert half.values.dtype == torch.float32
    assert (half.values.sigmoid() - full.values.sigmoid()).abs().mean() < 0.02


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_that_loses_on_this_cpu_is_refused(files, tmp_path: Path, precision: str):
    """Before anything is loaded, with the figure and what to set."""
    slow = Timed(tmp_path, 6.42)
    with pytest.raises(BadOption, match=r"6\.4 times as long .* auto or float32") as refused:
        opened(slow, files["isnet"], precision=precision)
    assert precision in str(refused.value)
    assert one(opened(slow, files["isnet"], precision="float32")).facts.device == "cpu, float32"


@pytest.mark.parametrize("times_as_long", [0.3, 1.1])
def test_half_precision_that_does_not_lose_is_what_was_asked_for(
    files, tmp_path: Path, times_as_long: float
):
    backend = opened(Timed(tmp_path, times_as_long), files["isnet"], precision="bfloat16")
    assert one(backend).facts.device == "cpu, bfloat16"


@pytest.mark.parametrize(("times_as_long", "used"), [(0.5, "bfloat16"), (6.0, "float32")])
def test_auto_is_never_what_loses(files, tmp_path: Path, times_as_long: float, used: str):
    """A program whose own choice is half precision, as ComfyUI's is with --force-fp16."""

    class Forced(Timed):
        def precision(self) -> torch.dtype:
            return torch.bfloat16

    backend = opened(Forced(tmp_path, times_as_long), files["isnet"], precision="auto")
    assert one(backend).facts.device == f"cpu, {used}"


def test_auto_on_a_cpu_is_float32_however_fast_the_others_are(files, tmp_path: Path):
    backend = opened(Timed(tmp_path, 0.1), files["isnet"], precision="auto")
    assert one(backend).facts.device == "cpu, float32"


def test_what_is_timed_is_compared_with_float32():
    seconds = {torch.float32: 2.0, torch.bfloat16: 5.0, torch.float16: 0.5}
    assert timing.times_as_long(torch.bfloat16, seconds.__getitem__) == 2.5
    assert timing.times_as_long(torch.float16, seconds.__getitem__) == 0.25
    assert timing.times_as_long(torch.float32, {}.__getitem__) == 1  # needs no timing


def test_a_cpu_is_timed_once_and_another_device_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[torch.dtype] = []

    def seconds_of(dtype: torch.dtype) -> float:
        asked.append(dtype)
        return 3.0 if dtype == torch.bfloat16 else 1.0

    monkeypatch.setattr(timing, "seconds_of", seconds_of)
    timing.slowdown.cache_clear()
    try:
        for _ in range(3):
            assert PlainHost({"RMBG_DEVICE": "cpu"}).slowdown(torch.bfloat16) == 3
        assert asked == [torch.bfloat16, torch.float32]
        assert PlainHost({"RMBG_DEVICE": "meta"}).slowdown(torch.bfloat16) == 1
        assert len(asked) == 2
    finally:
        timing.slowdown.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_precision_can_be_timed_here(dtype: torch.dtype):
    assert timing.seconds_of(dtype) > 0


def test_cancel_arrives_inside_a_forward(host: PlainHost, files):
    backend = opened(host, files["birefnet"])
    one(backend)
    counting = Recorder()
    list(backend.run([disc_frame(0)], counting))
    assert counting.checks > 20
    with pytest.raises(Cancelled):
        list(backend.run([disc_frame(0)], Recorder(cancel_after_checks=counting.checks // 2)))
    started = time.monotonic()
    one(backend)
    assert time.monotonic() - started < 60


def test_closing_gives_the_network_back_and_a_later_run_loads_it_again(host: PlainHost, files):
    backend = opened(host, files["isnet"])
    before = one(backend).values
    backend.close()
    assert torch.equal(one(backend).values, before)


def test_a_flat_map_is_not_stretched():
    flat = torch.full((8, 8), 0.3)
    assert torch.equal(stretch(flat), flat)
    ramp = torch.linspace(0.2, 0.8, 64).reshape(8, 8)
    assert stretch(ramp).min() == 0
    assert stretch(ramp).max() == 1


def test_shrinking_follows_each_models_card():
    """RMBG-2.0's card shrinks with antialiasing, RMBG-1.4's without."""
    lines = torch.zeros(1024, 1024, 3)
    lines[:, ::4] = 1
    device = torch.device("cpu")
    smooth = prepare([lines], 256, BIREFNET, device) * torch.tensor(BIREFNET.std)[:, None, None]
    smooth = smooth + torch.tensor(BIREFNET.mean)[:, None, None]
    assert (smooth[..., 4:-4] - 0.25).abs().max() < 0.01
    sharp = prepare([lines], 256, ISNET, device) + 0.5
    assert (sharp - 0.25).abs().min() > 0.2


def test_at_another_resolution_the_same_network_answers(host: PlainHost, files: dict[str, Path]):
    loads = 0

    class Counting(PlainHost):
        def adopt(self, network: nn.Module) -> Resident:
            nonlocal loads
            loads += 1
            return super().adopt(network)

    backend = opened(Counting({"RMBG_DEVICE": "cpu"}, platform="linux"), files["birefnet"])
    before, larger, after = one(backend), one(backend.at(320)), one(backend)
    assert loads == 1
    assert torch.equal(larger.values, one(opened(host, files["birefnet"], resolution=320)).values)
    assert not torch.equal(larger.values.mean(), before.values.mean())
    assert torch.equal(after.values, before.values)
    with pytest.raises(BadOption, match="resolution is 300; it must be a multiple of 32"):
        backend.at(300)


@pytest.mark.whole
class TestResized(BackendContract):
    @pytest.fixture
    def make(self, host: PlainHost, files: dict[str, Path]) -> Callable[[], Backend]:
        return lambda: opened(host, files["birefnet"]).at(288)

    test_the_subject_is_one = None  # type: ignore[assignment]


@pytest.mark.whole
class TestLocalBackend(BackendContract):
    @pytest.fixture
    def make(self, host: PlainHost, files: dict[str, Path]) -> Callable[[], Backend]:
        return lambda: opened(host, files["birefnet"])

    # Random weights find no subject: which side is 1 is what the goldens test.
    test_the_subject_is_one = None  # type: ignore[assignment]
