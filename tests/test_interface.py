"""The Python interface: every kind of picture in, the same kind out."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

import rmbg_nodes
from rmbg_nodes import (
    BackendFailed,
    BadOption,
    BadPicture,
    Cancelled,
    LicenceRefused,
    composite,
    cutout,
    open_backend,
    remove_background,
    remove_background_async,
    upsample_mask,
)
from rmbg_nodes.core.report import Report
from rmbg_nodes.core.types import Facts, Job, Matte, Outcome
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeLocal, FakeProvider
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import HOSTED_IDS, loopback, words_for
from rmbg_nodes.tests.support.hosted.pictures import expected_alpha
from rmbg_nodes.tests.support.hosted.server import HostedServer


def batch(*indices: int) -> torch.Tensor:
    return torch.stack([disc_frame(index).pixels for index in indices])


def levels(index: int = 0) -> np.ndarray:
    return (disc_frame(index).pixels * 255).round().numpy().astype(np.uint8)


def test_a_tensor_batch() -> None:
    image, mask, reports = remove_background(batch(0, 1), FakeLocal())
    assert image.shape == (2, 48, 64, 4)
    assert mask.shape == (2, 48, 64)
    assert image.dtype == mask.dtype == torch.float32
    assert [report.name for report in reports] == ["picture 1 of 2", "picture 2 of 2"]


def test_a_single_tensor_stays_single() -> None:
    image, mask, _ = remove_background(batch(0)[0], FakeLocal())
    assert image.shape == (48, 64, 4)
    assert mask.shape == (48, 64)


def test_half_precision_stays_half() -> None:
    image, mask, _ = remove_background(batch(0).half(), FakeLocal())
    assert image.dtype == mask.dtype == torch.float16


def test_pil_in_pil_out() -> None:
    image, mask, _ = remove_background(Image.fromarray(levels()), FakeLocal())
    assert image.mode == "RGBA"
    assert mask.mode == "L"
    assert image.size == mask.size == (64, 48)


def test_arrays_in_arrays_out() -> None:
    image, mask, _ = remove_background(levels(), FakeLocal())
    assert image.dtype == mask.dtype == np.uint8
    assert image.shape == (48, 64, 4)
    assert mask.shape == (48, 64)


def test_opaque_eight_bit_values_never_change() -> None:
    opaque = np.random.default_rng(7).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    cut = cutout(opaque, np.full((40, 50), 255, np.uint8))
    np.testing.assert_array_equal(cut[..., :3], opaque)
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    saved = cutout(torch.from_numpy(every / np.float32(255)), torch.ones(16, 16))
    np.testing.assert_array_equal((saved[..., :3] * 255).to(torch.uint8).numpy(), every)


class AlphaBackend(FakeLocal):
    """Answers a given alpha of the frame's own size."""

    def __init__(self, alpha: torch.Tensor) -> None:
        super().__init__()
        self.alpha = alpha

    def run(self, frames, job):
        for frame in frames:
            facts = Facts(self.spec.id, "fake", self.spec.licence, "cpu", 0.0)
            yield Outcome(frame.index, Matte(self.alpha, "alpha", facts))


def test_without_options_the_backends_alpha_comes_back() -> None:
    alpha = torch.rand(48, 64, generator=torch.Generator().manual_seed(0))
    _, mask, _ = remove_background(batch(0), AlphaBackend(alpha))
    assert torch.equal(mask[0], alpha)


def test_a_backends_nan_is_an_error_not_a_blank_picture() -> None:
    alpha = torch.full((48, 64), float("nan"))
    with pytest.raises(BackendFailed, match="not numbers"):
        remove_background(batch(0), AlphaBackend(alpha))


def test_the_old_background_never_comes_back_under_alpha_zero() -> None:
    alpha = torch.zeros(48, 64)
    image, _, reports = remove_background(batch(0), AlphaBackend(alpha))
    assert image[..., :3].abs().max() == 0
    assert "no subject found" in reports[0].warnings
    alpha[10:30, 10:30] = 1
    image, _, _ = remove_background(batch(0), AlphaBackend(alpha))
    assert image[0, 0, 0, :3].abs().max() > 0


def test_warnings_tell_what_to_look_at() -> None:
    alpha = torch.zeros(48, 64)
    alpha[:, :20] = 1
    _, _, reports = remove_background(batch(0), AlphaBackend(alpha))
    assert any("touches the picture's border" in warning for warning in reports[0].warnings)
    alpha = torch.full((48, 64), 0.6)
    _, _, reports = remove_background(batch(0), AlphaBackend(alpha))
    assert any("uncertain" in warning for warning in reports[0].warnings)
    alpha = torch.zeros(48, 64)
    alpha[2::6, 2::6] = 1
    _, _, reports = remove_background(batch(0), AlphaBackend(alpha))
    assert any("separate pieces" in warning for warning in reports[0].warnings)


def test_a_report_is_text_and_data() -> None:
    _, _, (report,) = remove_background(batch(0), FakeLocal())
    assert "64 x 48" in report.text()
    assert report.data()["device"] == "cpu"
    assert report.data()["left_machine"] is False


def test_a_backends_note_is_no_warning() -> None:
    notes = ("from the cache",)
    facts = Facts("keyer", "keyer", "keyer", "cpu", 0.1, notes=notes)
    said = (*notes, "no subject found")
    report = Report("x", 4, 3, "non-commercial", "its licence", "a licence", facts, said)
    lines = report.text().splitlines()
    assert lines[-2:] == ["Note: from the cache.", "Warning: no subject found."]
    assert (report.data()["warnings"], report.data()["notes"]) == ([*said], [*notes])


def test_a_backend_by_name_and_a_background() -> None:
    image, _, _ = remove_background(batch(0), "keyer", background="#00ff00")
    assert image.shape[-1] == 3
    assert image[0, 0, 0].tolist() == [0, 1, 0]


def test_failures_of_a_batch_are_named_after_the_others_are_done() -> None:
    steps: list[int] = []

    class Counting(Job):
        def step(self, done: int) -> None:
            steps.append(done)

    with pytest.raises(BackendFailed, match=r"2 of 4 pictures failed.*picture 2.*picture 4"):
        remove_background(batch(0, 1, 2, 3), FakeLocal(failing=[1, 3]), job=Counting())
    assert sum(steps) == 4


def test_bad_pictures_and_options_are_refused_in_words() -> None:
    with pytest.raises(BadPicture):
        remove_background(torch.full((1, 8, 8, 3), float("nan")), FakeLocal())
    with pytest.raises(BadPicture):
        remove_background(torch.full((1, 8, 8, 3), 2.0), FakeLocal())
    with pytest.raises(BadPicture):
        remove_background(torch.zeros(1, 0, 8, 3), FakeLocal())
    with pytest.raises(BadPicture):
        remove_background(torch.zeros(8, 8), FakeLocal())
    with pytest.raises(BadOption):
        remove_background("shoe.jpg", FakeLocal())  # type: ignore[type-var]
    with pytest.raises(BadOption):
        remove_background(batch(0), FakeLocal(), background="greenish")
    with pytest.raises(LicenceRefused):
        open_backend("local/rmbg-2.0", usage="commercial")


def test_the_gate_holds_for_an_opened_backend_too(monkeypatch) -> None:
    backend = FakeHosted(FakeProvider())
    monkeypatch.setenv("RMBG_OFFLINE", "1")
    with pytest.raises(rmbg_nodes.Offline):
        remove_background(batch(0), backend)


def test_the_awaitable_form() -> None:
    async def both() -> None:
        first, second = await asyncio.gather(
            remove_background_async(batch(0), FakeLocal()),
            remove_background_async(batch(1), FakeLocal()),
        )
        assert first.image.shape == second.image.shape

    asyncio.run(both())


def test_cancelling_the_task_ends_the_run() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(remove_background_async(batch(0), FakeLocal(seconds=60)))
        await asyncio.sleep(0.2)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 1

    before = threading.active_count()
    asyncio.run(cancelled())
    assert threading.active_count() <= before


def test_cancel_by_job() -> None:
    class Stop(Job):
        def check(self) -> None:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        remove_background(batch(0), FakeLocal(), job=Stop())


def test_cutout_takes_any_mask() -> None:
    mask = Image.new("L", (32, 24), 255)
    assert cutout(batch(0, 1), mask).shape == (2, 48, 64, 4)
    assert cutout(batch(0)[0], torch.ones(3, 48, 64)).shape == (3, 48, 64, 4)
    assert cutout(Image.fromarray(levels()), mask, background="white").mode == "RGB"


def test_upsample_mask_follows_the_masks_kind() -> None:
    small = torch.zeros(1, 12, 16)
    small[:, 3:9, 4:12] = 1
    assert upsample_mask(small, batch(0)).shape == (1, 48, 64)
    assert upsample_mask(small, batch(0, 1), refine=False).shape == (2, 48, 64)
    up = upsample_mask(Image.fromarray((small[0] * 255).byte().numpy()), levels())
    assert up.size == (64, 48)


def test_composite_on_colours_and_pictures() -> None:
    cut = cutout(batch(0), torch.ones(48, 64))
    assert composite(cut, None, "white").shape == (1, 48, 64, 3)
    assert composite(cut, None, (0.2, 0.4, 0.6)).shape == (1, 48, 64, 3)
    assert composite(cut, None, batch(1, 2, 3)).shape == (3, 48, 64, 3)
    image = composite(Image.fromarray(levels()), np.zeros((48, 64), np.uint8), "black")
    assert isinstance(image, Image.Image)
    assert image.getextrema() == ((0, 0),) * 3
    single = composite(batch(0)[0], torch.ones(48, 64), Image.new("RGB", (80, 60)))
    assert single.shape == (60, 80, 3)


def test_errors_name_the_input_and_the_picture() -> None:
    bad = torch.zeros(3, 8, 8, 3)
    bad[1, 0, 0, 0] = float("nan")
    with pytest.raises(BadPicture, match="picture 2 of 3"):
        remove_background(bad, FakeLocal())
    with pytest.raises(BadPicture, match="mask"):
        cutout(torch.zeros(8, 8, 3), torch.full((8, 8), float("nan")))
    with pytest.raises(BadPicture, match="background 2 of 3"):
        composite(torch.zeros(8, 8, 3), None, bad)


def test_a_treatment_that_cannot_work_is_refused_before_anything_is_paid() -> None:
    provider = FakeProvider()
    with pytest.raises(BadOption, match="decontamination"):
        remove_background(batch(0), FakeHosted(provider), decontaminate=5)
    assert provider.billed == []


def test_an_alpha_outside_its_range_is_clamped() -> None:
    alpha = torch.linspace(-0.5, 1.7, 48 * 64).reshape(48, 64)
    _, mask, _ = remove_background(batch(0), AlphaBackend(alpha))
    assert mask.min() == 0
    assert mask.max() == 1


def test_offsets_are_whole_pixels() -> None:
    with pytest.raises(BadOption, match="whole numbers"):
        composite(batch(0), torch.ones(48, 64), "white", offset=(1.5, 0))  # type: ignore[arg-type]
    assert composite(batch(0), None, [np.float32(0.5)] * 3).shape == (1, 48, 64, 3)


def test_failed_pictures_are_left_out_or_pass_through() -> None:
    whole = remove_background(batch(0, 1, 2), FakeLocal())
    left = remove_background(batch(0, 1, 2), FakeLocal(failing=[1]), on_failure="leave out")
    assert torch.equal(left.image, whole.image[[0, 2]])
    assert torch.equal(left.mask, whole.mask[[0, 2]])
    assert [report.data()["outcome"] for report in left.reports] == [
        "delivered",
        "failed",
        "delivered",
    ]
    assert "picture 2 of 3" in left.reports[1].text()
    kept = remove_background(batch(0, 1, 2), FakeLocal(failing=[1]), on_failure="pass through")
    assert torch.equal(kept.image[1, ..., :3], batch(1)[0])
    assert torch.equal(kept.image[1, ..., 3], torch.ones(48, 64))
    assert torch.equal(kept.mask[1], torch.ones(48, 64))
    assert torch.equal(kept.image[[0, 2]], whole.image[[0, 2]])
    grey = remove_background(
        batch(0, 1).mean(dim=-1, keepdim=True),
        FakeLocal(failing=[0]),
        on_failure="pass through",
        background="white",
    )
    assert grey.image.shape == (2, 48, 64, 3)


def test_a_policy_works_for_every_kind_of_picture() -> None:
    pictures = [Image.fromarray(levels(index)) for index in range(3)]
    left = remove_background(pictures, FakeLocal(failing=[0]), on_failure="leave out")
    assert [image.mode for image in left.image] == ["RGBA", "RGBA"]
    arrays = np.stack([levels(index) for index in range(2)])
    kept = remove_background(arrays, FakeLocal(failing=[1]), on_failure="pass through")
    assert kept.image.dtype == np.uint8
    np.testing.assert_array_equal(kept.image[1, ..., :3], arrays[1])
    one = remove_background(pictures[0], FakeLocal(failing=[0]), on_failure="pass through")
    assert isinstance(one.image, Image.Image)
    assert one.image.getchannel("A").getextrema() == (255, 255)


def test_a_policy_that_is_none_is_refused_before_anything_is_paid() -> None:
    provider = FakeProvider()
    with pytest.raises(BadOption, match="on_failure"):
        remove_background(batch(0), FakeHosted(provider), on_failure="leave_out")  # type: ignore[arg-type]
    assert provider.billed == []


def test_nothing_left_is_an_error_under_every_policy() -> None:
    with pytest.raises(BackendFailed, match="2 of 2"):
        remove_background(batch(0, 1), FakeLocal(failing=[0, 1]), on_failure="leave out")
    with pytest.raises(BackendFailed):
        remove_background(batch(0), FakeLocal(failing=[0]), on_failure="leave out")


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    with loopback(monkeypatch, "fal") as server:
        yield server
        assert server.complaints == []


@pytest.mark.parametrize("backend_id", HOSTED_IDS)
def test_every_hosted_backend_by_its_id(backend_id: str, monkeypatch) -> None:
    with loopback(monkeypatch, backend_id.partition("/")[0]) as server:
        backend = open_backend(backend_id, usage="commercial", **words_for(backend_id))
        image, mask, (report,) = remove_background(levels(), backend)
        assert server.bills == 1
    np.testing.assert_array_equal(mask, expected_alpha(levels()))
    np.testing.assert_array_equal(image[..., 3], mask)
    assert report.data()["left_machine"] is True


def test_hosted_results_have_the_pictures_kind_and_equal_pixels_are_paid_once(
    fal: HostedServer,
) -> None:
    wanted = expected_alpha(levels())
    image, mask, _ = remove_background(Image.fromarray(levels()), "fal")
    assert (image.mode, mask.mode) == ("RGBA", "L")
    np.testing.assert_array_equal(np.asarray(mask), wanted)
    _, of_array, _ = remove_background(levels(), "fal")
    np.testing.assert_array_equal(of_array, wanted)
    pixels = torch.from_numpy(levels() / np.float32(255))
    _, of_tensor, (report,) = remove_background(pixels[None], "fal")
    torch.testing.assert_close(of_tensor[0] * 255, torch.from_numpy(wanted).float())
    assert report.data()["cost"] == "0"
    assert fal.bills == 1


def test_a_lost_picture_of_a_hosted_batch(fal: HostedServer) -> None:
    fal.plan(Fault("submit", "reset after work"))
    with pytest.raises(rmbg_nodes.MayBeBilled, match="1 of 3 pictures failed"):
        remove_background(batch(0, 1, 2), "fal")
    # The two that were delivered are not paid for again, and the third is not sent.
    requests = len(fal.requests)
    left = remove_background(batch(0, 1, 2), "fal", on_failure="leave out")
    assert left.image.shape[0] == 2
    (lost,) = [report for report in left.reports if report.data()["outcome"] == "failed"]
    assert lost.data()["paid"] == "perhaps"
    assert len(fal.requests) == requests
    opened = open_backend("fal/rmbg-2.0", resubmit=True)
    assert remove_background(batch(0, 1, 2), opened).image.shape[0] == 3
    assert fal.bills == 4


def test_the_official_client_in_python(fal: HostedServer, monkeypatch) -> None:
    pytest.importorskip("fal_client")
    opened = open_backend("fal/rmbg-2.0", client="official")
    _, mask, _ = remove_background(levels(), opened)
    np.testing.assert_array_equal(mask, expected_alpha(levels()))
    monkeypatch.setitem(sys.modules, "fal_client.client", None)
    with pytest.raises(rmbg_nodes.BackendMissing, match=r"rmbg-nodes\[fal\]"):
        remove_background(levels(1), open_backend("fal/rmbg-2.0", client="official"))
    with pytest.raises(BadOption, match="client"):
        open_backend("bria/rmbg-2.0", client="official")
    assert fal.bills == 1


def test_the_awaitable_form_hosted_cancelled_and_resumed(fal: HostedServer) -> None:
    fal.seconds = 60

    async def cancelled() -> None:
        task = asyncio.create_task(remove_background_async(batch(0), "fal", on_failure="leave out"))
        until = time.monotonic() + 20
        while not any("/status" in request.path for request in list(fal.requests)):
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 1

    asyncio.run(cancelled())
    for job in fal.jobs.values():
        job.ends = 0
    result = asyncio.run(remove_background_async(batch(0), "fal"))
    assert "resumed" in result.reports[0].text()
    assert fal.bills == 1


def test_a_policy_in_the_awaitable_form() -> None:
    backend = FakeLocal(failing=[0])
    result = asyncio.run(remove_background_async(batch(0, 1), backend, on_failure="pass through"))
    assert torch.equal(result.mask[0], torch.ones(48, 64))


@pytest.mark.parametrize("name", ["AccountRefused", "ResultWaiting", "UnusableResult"])
def test_what_may_be_caught_is_exported(name: str) -> None:
    assert name in rmbg_nodes.__all__
    assert issubclass(getattr(rmbg_nodes, name), rmbg_nodes.RmbgError)


def test_a_mask_of_other_proportions_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    cutout(batch(0), torch.ones(1, 24, 32))
    assert caplog.records == []
    cutout(batch(0), torch.ones(1, 48, 48))
    composite(batch(0), torch.ones(1, 48, 48), "white")
    assert ["48 x 48 and the picture 64 x 48" in line for line in caplog.messages] == [True] * 2
