"""The four nodes on a stand-in for ComfyUI: schema, shapes, polarity, lists, progress, errors."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from rmbg_nodes.catalogue.backends import BACKENDS, find
from rmbg_nodes.catalogue.hosted_models import ROWS
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.core.errors import (
    BackendFailed,
    BadOption,
    BadPicture,
    KeyMissing,
    LicenceRefused,
    MayBeBilled,
    NoPlainBackdrop,
    OverBudget,
)
from rmbg_nodes.pipeline.gate import open_backend
from rmbg_nodes.tests.conformance import BackendContract, disc_frame
from rmbg_nodes.tests.support.comfy_standin import (
    Control,
    InterruptProcessingException,
    standing_in,
)
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeLocal, FakeProvider
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import PROVIDERS, loopback
from rmbg_nodes.tests.support.hosted.pictures import expected_alpha
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.networks import small_birefnet

SNAPSHOT = Path(__file__).parent / "data" / "schema-0.1.json"


@pytest.fixture
def comfy() -> Iterator[Control]:
    with standing_in() as control:
        yield control


@pytest.fixture
def nodes(comfy: Control) -> ModuleType:
    return importlib.import_module("rmbg_nodes.nodes.node_list")


def batch(*indices: int, size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    return torch.stack([disc_frame(index, size).pixels for index in indices])


def remover(nodes: ModuleType, backend) -> Any:
    module = importlib.import_module("rmbg_nodes.nodes.socket")
    return module.Remover(backend, None)


def remove(nodes: ModuleType, plug: Any, images: list[torch.Tensor], **changed: object):
    values = {
        "refine_edges": True,
        "decontaminate": 1.0,
        "background": "transparent",
        "color": "#ffffff",
    } | changed
    wrapped = {name: [value] for name, value in values.items()}
    output = asyncio.run(nodes.RemoveBackground.execute(remover=[plug], image=images, **wrapped))
    return output.result


def apply_mask(nodes: ModuleType, image, mask, **changed: object):
    return masked(nodes, image, mask, **changed).result


def masked(nodes: ModuleType, image, mask, **changed: object):
    """What Apply Mask answers, with what it says."""
    defaults = {
        item.id: item.settings["default"]
        for item in nodes.ApplyMask.GET_SCHEMA().inputs
        if "default" in item.settings
    }
    return nodes.ApplyMask.execute(image=image, mask=mask, **(defaults | changed))


def compose(nodes: ModuleType, foreground, **changed: object):
    return composed(nodes, foreground, **changed).result


def composed(nodes: ModuleType, foreground, **changed: object):
    """What Composite answers, with what it says."""
    defaults = {
        item.id: item.settings["default"]
        for item in nodes.Composite.GET_SCHEMA().inputs
        if "default" in item.settings
    }
    return nodes.Composite.execute(foreground=foreground, **(defaults | changed))


# ---------------------------------------------------------------- schema


def described(item) -> dict[str, object]:
    row: dict[str, object] = {"id": item.id, "type": item.kind}
    for name in ("optional", "default", "min", "max", "step", "is_output_list"):
        if item.settings.get(name) not in (None, False) or name == "default":
            row[name] = item.settings.get(name)
    options = item.settings.get("options")
    if options is not None:
        row["options"] = [
            option
            if isinstance(option, str)
            else {"key": option.key, "inputs": [described(sub) for sub in option.inputs]}
            for option in options
        ]
    return row


def schema_of(nodes: ModuleType) -> list[dict[str, object]]:
    return [
        {
            "id": schema.node_id,
            "display_name": schema.display_name,
            "is_input_list": schema.is_input_list,
            "inputs": [described(item) for item in schema.inputs],
            "outputs": [described(item) for item in schema.outputs],
        }
        for schema in (node.GET_SCHEMA() for node in nodes.NODES)
    ]


def test_ids_order_and_choices_are_pinned(nodes: ModuleType) -> None:
    """A saved workflow stores widget values by position; a change here breaks users' graphs.

    What is appended before a release is pinned with WRITE_SNAPSHOT=1; after it, under a new name.
    """
    current = json.loads(json.dumps(schema_of(nodes)))
    if os.environ.get("WRITE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(current, indent=1) + "\n", encoding="utf-8")
    assert current == json.loads(SNAPSHOT.read_text(encoding="utf-8")), (
        "if inputs were appended on purpose, run WRITE_SNAPSHOT=1 pytest tests/test_nodes.py"
    )


def test_everything_has_a_tooltip(nodes: ModuleType) -> None:
    for node in nodes.NODES:
        schema = node.GET_SCHEMA()
        for item in (*schema.inputs, *schema.outputs):
            assert item.settings.get("tooltip"), f"{schema.node_id}.{item.id}"
            for option in item.settings.get("options", []):
                for sub in getattr(option, "inputs", []):
                    assert sub.settings.get("tooltip"), f"{schema.node_id}.{item.id}.{sub.id}"


def test_no_input_can_hold_a_key(nodes: ModuleType) -> None:
    text = SNAPSHOT.read_text(encoding="utf-8").lower()
    for word in ("api_key", "token", "secret", "password"):
        assert word not in text


def test_ids_are_prefixed_and_the_dynamic_combo_is_last(nodes: ModuleType) -> None:
    for node in nodes.NODES:
        schema = node.GET_SCHEMA()
        assert schema.node_id.startswith("RMBG_")
        dynamic = [i for i, item in enumerate(schema.inputs) if "DYNAMIC" in item.kind]
        assert dynamic in ([], [len(schema.inputs) - 1])


def test_the_extension_lists_the_nodes(nodes: ModuleType) -> None:
    import rmbg_nodes

    extension = asyncio.run(rmbg_nodes.comfy_entrypoint())
    assert asyncio.run(extension.get_node_list()) == list(nodes.NODES)


# ---------------------------------------------------------------- Load RMBG


def test_load_opens_the_chosen_backend(nodes: ModuleType) -> None:
    (plug,) = nodes.LoadRmbg.execute("commercial", {"backend": "keyer"}).result
    assert plug.backend.spec.id == "keyer"
    assert plug.usage == "commercial"


def test_load_refuses_by_licence_first(nodes: ModuleType) -> None:
    with pytest.raises(LicenceRefused, match="CC BY-NC"):
        nodes.LoadRmbg.execute("commercial", {"backend": "local", "model": "rmbg-2.0"})


def entry(nodes: ModuleType, provider: str) -> list[Any]:
    """The inputs behind one entry of Load RMBG's menu."""
    (combo,) = [item for item in nodes.LoadRmbg.GET_SCHEMA().inputs if item.id == "backend"]
    options: Any = combo.settings["options"]
    (option,) = [option for option in options if option.key == provider]
    return list(option.inputs)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_has_its_own_settings_and_no_client(nodes: ModuleType, provider: str) -> None:
    shown = [item.id for item in entry(nodes, provider)]
    rows = [row for row in ROWS if row.provider == provider]
    options = [option for row in rows for option in row.options if option.in_nodes]
    assert shown == ["model", *dict.fromkeys(option.name for option in options)]
    guided = [row.instruction.name for row in rows if row.instruction]
    # Appended: what a workflow saved before stays in its place.
    assert shown[len(shown) - 3 - len(guided) :] == ["profile", "downscale", "resubmit", *guided]
    assert "client" not in shown
    menu = entry(nodes, provider)[0].settings["options"]
    assert menu == [row.model for row in rows]


def test_settings_that_a_saved_prompt_lacks_have_their_defaults(nodes: ModuleType) -> None:
    """A prompt in API format holds what the node had when it was saved, and no more."""
    for provider in ("local", "bria", "fal", "replicate", "keyer"):
        for item in entry(nodes, provider):
            assert item.id == "model" or item.settings["optional"], f"{provider}.{item.id}"
    for rest in ({}, {"profile": None, "resubmit": None}):  # ComfyUI hands over the second
        given = {"backend": "fal", "model": "rmbg-3.0", **rest}
        (plug,) = nodes.LoadRmbg.execute("commercial", given).result
        assert plug.backend.spec.id == "fal/rmbg-3.0"


# ---------------------------------------------------------------- Remove Background


def test_a_batch_gives_rgba_mask_and_report(nodes: ModuleType) -> None:
    images, masks, reports = remove(nodes, remover(nodes, FakeLocal()), [batch(0, 1, 2)])
    assert images[0].shape == (3, 48, 64, 4)
    assert masks[0].shape == (3, 48, 64)
    assert torch.equal(images[0][..., 3], masks[0])
    text, _, data = reports[0].rpartition("\n")
    assert len(json.loads(data)) == 3
    assert "fake/local" in text


def test_a_list_of_mixed_sizes_is_one_call(nodes: ModuleType, comfy: Control) -> None:
    given = [batch(0, 1), batch(2, size=(57, 61)), batch(3, 4, 5, size=(30, 20))]
    images, masks, reports = remove(nodes, remover(nodes, FakeLocal()), given)
    assert [image.shape[:3] for image in images] == [image.shape[:3] for image in given]
    assert [mask.shape for mask in masks] == [image.shape[:3] for image in given]
    assert len(reports) == 3
    assert comfy.progress[-1] == (6, 6)
    alone, _, _ = remove(nodes, remover(nodes, FakeLocal()), [given[1]])
    assert torch.equal(images[1], alone[0])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_rgb_and_opaque_rgba_give_the_same_mask(nodes: ModuleType, channels: int) -> None:
    grey = batch(0).mean(dim=-1, keepdim=True)
    image = {1: grey, 3: grey.expand(-1, -1, -1, 3)}.get(channels)
    if image is None:
        image = torch.cat([grey.expand(-1, -1, -1, 3), torch.ones_like(grey)], dim=-1)
    _, masks, _ = remove(nodes, remover(nodes, FakeLocal()), [image])
    _, wanted, _ = remove(nodes, remover(nodes, FakeLocal()), [grey])
    assert torch.equal(masks[0], wanted[0])


def test_the_inputs_own_alpha_is_multiplied_in(nodes: ModuleType) -> None:
    alpha = torch.ones(1, 48, 64, 1)
    alpha[:, :, :32] = 0
    image = torch.cat([batch(0), alpha], dim=-1)
    _, masks, _ = remove(nodes, remover(nodes, FakeLocal()), [image])
    _, plain, _ = remove(nodes, remover(nodes, FakeLocal()), [batch(0)])
    assert torch.equal(masks[0], plain[0] * alpha[..., 0])


def test_on_a_colour_the_image_has_three_channels(nodes: ModuleType) -> None:
    images, masks, _ = remove(
        nodes, remover(nodes, FakeLocal()), [batch(0)], background="color", color="#ff0000"
    )
    assert images[0].shape[-1] == 3
    outside = masks[0] == 0
    assert outside.any() or masks[0].min() < 0.01
    assert torch.equal(images[0][outside], torch.tensor([1.0, 0, 0]).expand(outside.sum(), 3))


def test_half_precision_in_half_precision_out(nodes: ModuleType) -> None:
    half = [batch(0, 1).half()]
    images, masks, _ = remove(nodes, remover(nodes, FakeLocal()), half)
    assert images[0].dtype == masks[0].dtype == torch.float16
    full, _, _ = remove(nodes, remover(nodes, FakeLocal()), [half[0].float()])
    torch.testing.assert_close(images[0].float(), full[0], atol=2 / 255, rtol=0)


def test_the_others_finish_before_a_failure_is_raised(nodes: ModuleType, comfy: Control) -> None:
    plug = remover(nodes, FakeLocal(failing=[1]))
    with pytest.raises(BackendFailed, match=r"1 of 3 pictures failed. image 2 of 3"):
        remove(nodes, plug, [batch(0, 1, 2)])
    assert comfy.progress[-1] == (3, 3)


def test_a_bad_picture_in_the_batch_is_named(nodes: ModuleType) -> None:
    images = batch(0, 1)
    images[1, 0, 0, 0] = float("nan")
    with pytest.raises(BadPicture, match="image 2 of 2: contains NaN"):
        remove(nodes, remover(nodes, FakeLocal()), [images])
    with pytest.raises(BadPicture, match=r"0\.\.1"):
        remove(nodes, remover(nodes, FakeLocal()), [batch(0) * 255])


def test_a_resamplers_overshoot_is_clipped_and_reported(nodes: ModuleType) -> None:
    images = batch(0) * 1.08
    assert images.max() > 1
    cut, _, reports = remove(nodes, remover(nodes, FakeLocal()), [images])
    assert cut[0].max() <= 1
    assert "clipped" in reports[0]


def test_wrong_dimensions_are_refused(nodes: ModuleType) -> None:
    with pytest.raises(BadPicture, match="batch x height x width x channels"):
        remove(nodes, remover(nodes, FakeLocal()), [batch(0)[0]])


def test_cancel_between_pictures_interrupts_the_prompt(nodes: ModuleType, comfy: Control) -> None:
    comfy.interrupt_after = 2
    with pytest.raises(InterruptProcessingException):
        remove(nodes, remover(nodes, FakeLocal()), [batch(*range(12))])
    assert 0 < len(comfy.progress) < 12


def test_cancel_reaches_a_hosted_wait(nodes: ModuleType, comfy: Control) -> None:
    comfy.interrupt_after = 6
    plug = remover(nodes, FakeHosted(FakeProvider(polls_needed=10_000), poll_seconds=0.01))
    with pytest.raises(InterruptProcessingException):
        remove(nodes, plug, [batch(0)])


def test_hosted_waits_do_not_block_other_nodes(nodes: ModuleType) -> None:
    plug = remover(nodes, FakeHosted(FakeProvider(polls_needed=30), poll_seconds=0.01))
    ticks = 0

    async def ticking() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    async def both() -> None:
        other = asyncio.create_task(ticking())
        await nodes.RemoveBackground.execute(
            remover=[plug],
            image=[batch(0)],
            refine_edges=[True],
            decontaminate=[1.0],
            background=["transparent"],
            color=["#ffffff"],
        )
        other.cancel()

    asyncio.run(both())
    assert ticks > 5


def test_a_list_of_different_settings_is_refused(nodes: ModuleType) -> None:
    with pytest.raises(BadOption, match="background"):
        asyncio.run(
            nodes.RemoveBackground.execute(
                remover=[remover(nodes, FakeLocal())],
                image=[batch(0), batch(1)],
                refine_edges=[True],
                decontaminate=[1.0],
                background=["transparent", "white"],
                color=["#ffffff"],
            )
        )


def test_the_keyer_refuses_a_photograph_in_words(nodes: ModuleType) -> None:
    (plug,) = nodes.LoadRmbg.execute("non-commercial", {"backend": "keyer"}).result
    noise = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    with pytest.raises(NoPlainBackdrop, match="local, bria, fal or replicate"):
        remove(nodes, plug, [noise])


# ---------------------------------------------------------------- on_failure


def report_rows(report: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(report.rpartition("\n")[2])
    return rows


def outcomes_of(report: str) -> list[object]:
    return [row["outcome"] for row in report_rows(report)]


def test_failed_pictures_are_left_out_and_reported(nodes: ModuleType, comfy: Control) -> None:
    given = [batch(0, 1, 2), batch(3, size=(57, 61)), batch(4, 5, size=(30, 20))]
    plug = remover(nodes, FakeLocal(failing=[1, 4]))
    images, masks, reports = remove(nodes, plug, given, on_failure="leave out")
    whole, _, _ = remove(nodes, remover(nodes, FakeLocal()), given)
    assert [image.shape[0] for image in images] == [2, 1, 1]
    assert torch.equal(images[0], whole[0][[0, 2]])
    assert torch.equal(images[2], whole[2][[1]])
    assert [mask.shape for mask in masks] == [image.shape[:3] for image in images]
    assert outcomes_of(reports[0]) == ["delivered", "failed", "delivered"]
    assert outcomes_of(reports[2]) == ["failed", "delivered"]
    assert "FAILED, and it was left out of the result. image 2 of 6" in reports[0]
    assert comfy.progress[-1] == (6, 6)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_batch_that_is_left_out_whole_is_still_reported(nodes: ModuleType, lost: int) -> None:
    sizes = [(48, 64), (57, 61), (30, 20)]
    given = [batch(index, size=size) for index, size in enumerate(sizes)]
    plug = remover(nodes, FakeLocal(failing=[lost]))
    images, masks, reports = remove(nodes, plug, given, on_failure="leave out")
    kept = [index for index in range(3) if index != lost]
    assert [image.shape[1:3] for image in images] == [sizes[index] for index in kept]
    assert len(images) == len(masks) == len(reports) == 2
    assert f"image {lost + 1} of 3" in reports[0]
    assert outcomes_of(reports[0]) == ["failed", "delivered"]
    assert outcomes_of(reports[1]) == ["delivered"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_failed_pictures_pass_through_opaque(nodes: ModuleType, channels: int) -> None:
    pictures = batch(0, 1)
    given = {1: pictures[..., :1], 3: pictures}.get(channels)
    if given is None:
        given = torch.cat([pictures, torch.full((2, 48, 64, 1), 0.5)], dim=-1)
    plug = remover(nodes, FakeLocal(failing=[1]))
    images, masks, reports = remove(nodes, plug, [given], on_failure="pass through")
    assert images[0].shape == (2, 48, 64, 4)
    wanted = given[1][..., :3].expand(48, 64, 3)
    assert torch.equal(images[0][1][..., :3], wanted)
    assert torch.equal(images[0][1][..., 3], torch.ones(48, 64))
    assert torch.equal(masks[0][1], torch.ones(48, 64))
    assert not torch.equal(masks[0][0], torch.ones(48, 64))
    assert "it stands in the result as it was" in reports[0]


def test_on_a_colour_a_failed_picture_has_three_channels_too(nodes: ModuleType) -> None:
    plug = remover(nodes, FakeLocal(failing=[0]))
    options = {"background": "color", "color": "#00ff00"}
    images, _, _ = remove(nodes, plug, [batch(0, 1)], on_failure="pass through", **options)
    assert images[0].shape == (2, 48, 64, 3)
    assert torch.equal(images[0][0], batch(0)[0])
    images, _, _ = remove(nodes, plug, [batch(0, 1)], on_failure="leave out", **options)
    assert images[0].shape == (1, 48, 64, 3)


def test_when_everything_fails_there_is_nothing_to_leave(nodes: ModuleType) -> None:
    plug = remover(nodes, FakeLocal(failing=[0, 1]))
    with pytest.raises(BackendFailed, match="2 of 2 pictures failed"):
        remove(nodes, plug, [batch(0, 1)], on_failure="leave out")
    images, masks, reports = remove(nodes, plug, [batch(0, 1)], on_failure="pass through")
    assert torch.equal(images[0][..., :3], batch(0, 1))
    assert torch.equal(masks[0], torch.ones(2, 48, 64))
    assert outcomes_of(reports[0]) == ["failed", "failed"]


def test_a_policy_that_is_none_is_refused(nodes: ModuleType) -> None:
    """A value that comes over a link is not checked by ComfyUI."""
    with pytest.raises(BadOption, match="on_failure"):
        remove(nodes, remover(nodes, FakeLocal()), [batch(0)], on_failure="skip")


def test_a_picture_that_cannot_be_used_follows_the_policy_too(nodes: ModuleType) -> None:
    images = batch(0, 1)
    images[1, 0, 0, 0] = float("nan")
    cut, _, reports = remove(nodes, remover(nodes, FakeLocal()), [images], on_failure="leave out")
    assert cut[0].shape[0] == 1
    assert "contains NaN" in reports[0]


# ---------------------------------------------------------------- hosted


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    with loopback(monkeypatch, "fal") as server:
        yield server
        assert server.complaints == []


def hosted(nodes: ModuleType, provider: str = "fal", **options: object) -> Any:
    """What Load RMBG hands over."""
    values = {"backend": provider, "model": "rmbg-2.0", **options}
    (plug,) = nodes.LoadRmbg.execute("commercial", values).result
    return plug


def alpha_of(images: torch.Tensor) -> torch.Tensor:
    """What the server answers, (B, H, W)."""
    levels = (images * 255).round().to(torch.uint8).numpy()
    return torch.stack([torch.from_numpy(expected_alpha(picture)) / 255 for picture in levels])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_hosted_run_gives_the_providers_alpha_and_says_what_it_cost(
    nodes: ModuleType, comfy: Control, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    with loopback(monkeypatch, provider) as server:
        images, masks, reports = remove(nodes, hosted(nodes, provider), [batch(0, 1)])
        assert server.bills == 2
        assert server.complaints == []
    torch.testing.assert_close(masks[0], alpha_of(batch(0, 1)), atol=1e-6, rtol=0)
    assert torch.equal(images[0][..., 3], masks[0])
    assert comfy.progress[-1] == (2, 2)
    text, _, _ = reports[0].rpartition("\n")
    assert f"{provider}/rmbg-2.0" in text
    assert f"Cost: {find(provider).price}; the picture was sent to the provider." in text
    for row in report_rows(reports[0]):
        assert row["request_id"] in server.jobs
        assert row["usage"] == "commercial"


def test_local_options_and_a_second_run_are_free(nodes: ModuleType, fal: HostedServer) -> None:
    remove(nodes, hosted(nodes), [batch(0)])
    requests = len(fal.requests)
    changed = {"decontaminate": 0.2, "background": "white", "refine_edges": False}
    _, _, reports = remove(nodes, hosted(nodes, downscale=True), [batch(0)], **changed)
    assert len(fal.requests) == requests
    assert "Cost: nothing" in reports[0]
    assert "from the cache" in reports[0]


def test_max_cost_refuses_before_anything_is_sent(nodes: ModuleType, fal: HostedServer) -> None:
    with pytest.raises(OverBudget, match="cost 0.036 USD .*max_cost allows 0.03 USD"):
        remove(nodes, hosted(nodes), [batch(0, 1)], max_cost=0.03)
    assert fal.requests == []
    _, _, reports = remove(nodes, hosted(nodes), [batch(0), batch(1)], max_cost=0.036)
    assert fal.bills == 2
    for report in reports:
        assert report.startswith("Estimate: fal/rmbg-2.0: up to 2 x 0.018 USD = 0.036 USD")
    _, _, reports = remove(nodes, hosted(nodes), [batch(0, 1)], max_cost=0.001)
    assert "2 paid for earlier, up to 0 x 0.018 USD = 0 USD" in reports[0]
    remove(nodes, hosted(nodes), [batch(2, 3)], max_cost=0.0)  # no limit
    assert fal.bills == 4


def test_words_are_a_text_in_lines_and_reach_the_host(nodes: ModuleType, fal: HostedServer) -> None:
    (words,) = [item for item in entry(nodes, "fal") if item.id == "prompt"]
    assert words.settings["multiline"] is True
    plug = hosted(nodes, model="rmbg-guided", prompt="the chair\nand the lamp")
    _, _, reports = remove(nodes, plug, [batch(0)])
    assert [job.prompt for job in fal.jobs.values()] == ["the chair\nand the lamp"]
    assert "Cost: unknown; the picture was sent to the provider." in reports[0]
    assert report_rows(reports[0])[0]["cost"] == "unknown"


def test_the_models_of_a_provider_share_the_field_for_words(
    nodes: ModuleType, fal: HostedServer
) -> None:
    """Empty, as it came, it says nothing to a model that takes none; filled in, it is refused."""
    assert hosted(nodes, prompt="").backend.spec.id == "fal/rmbg-2.0"
    with pytest.raises(BadOption, match="fal/rmbg-2.0 is not guided by words: leave prompt empty"):
        hosted(nodes, prompt="the chair")
    with pytest.raises(BadOption, match="prompt is empty"):
        hosted(nodes, model="rmbg-guided", prompt=" ")
    empty = {"backend": "fal", "model": "rmbg-guided", "prompt": ""}
    with pytest.raises(BadOption, match="prompt is empty"):
        asyncio.run(nodes.LoadRmbg.validate_inputs(usage="commercial", backend=empty))
    assert fal.requests == []


def test_the_price_stands_in_the_tooltips_of_load(nodes: ModuleType) -> None:
    (backend,) = [i for i in nodes.LoadRmbg.GET_SCHEMA().inputs if i.id == "backend"]
    prices = {str(row.price) for row in BACKENDS.values() if row.price and row.price.amount}
    assert len(prices) > 1 or f"about {prices.pop()}" in backend.settings["tooltip"]
    for option in backend.settings["options"]:
        rows = [row for row in BACKENDS.values() if row.provider == option.key]
        for model in (sub for sub in option.inputs if sub.id == "model"):
            said = model.settings["tooltip"]
            paid = [row.price for row in rows if row.price]
            assert said.count("USD a picture") == sum(price.amount is not None for price in paid)
            assert said.count("price unknown") == sum(price.amount is None for price in paid)


def test_the_report_of_a_hosted_picture_that_failed(nodes: ModuleType, fal: HostedServer) -> None:
    fal.plan(Fault("submit", "reset after work"), Fault("submit", 422))
    _, _, reports = remove(nodes, hosted(nodes), [batch(0, 1, 2)], on_failure="leave out")
    rows = report_rows(reports[0])
    assert sorted(str(row.get("paid")) for row in rows) == ["None", "no", "perhaps"]
    (lost,) = [row for row in rows if row.get("paid") == "perhaps"]
    assert lost["error_type"] == "MayBeBilled"
    assert lost["on_failure"] == "leave out"
    assert f"FAILED, and it was left out of the result. {lost['error']}" in reports[0]
    assert "https://fal.ai/dashboard" in lost["error"]
    posts = len([request for request in fal.requests if request.method == "POST"])
    with pytest.raises(MayBeBilled, match="resubmit"):
        remove(nodes, hosted(nodes), [batch(rows.index(lost))])
    assert len([request for request in fal.requests if request.method == "POST"]) == posts
    remove(nodes, hosted(nodes, resubmit=True), [batch(rows.index(lost))])
    assert len([request for request in fal.requests if request.method == "POST"]) == posts + 1


def test_cancel_interrupts_at_once_and_the_next_run_pays_nothing(
    nodes: ModuleType, comfy: Control, fal: HostedServer
) -> None:
    fal.seconds = 60
    pressed: list[float] = []

    def press() -> None:
        until = time.monotonic() + 20
        while not any("/status" in request.path for request in fal.requests):
            assert time.monotonic() < until
            time.sleep(0.02)
        pressed.append(time.monotonic())
        comfy.interrupt_after = 0

    hand = threading.Thread(target=press)
    hand.start()
    with pytest.raises(InterruptProcessingException):
        remove(nodes, hosted(nodes), [batch(0)])
    assert time.monotonic() - pressed[0] < 1
    hand.join()
    comfy.interrupt_after = None
    for job in fal.jobs.values():
        job.ends = 0
    _, masks, reports = remove(nodes, hosted(nodes), [batch(0)])
    torch.testing.assert_close(masks[0], alpha_of(batch(0)), atol=1e-6, rtol=0)
    assert "resumed" in reports[0]
    assert fal.bills == 1


def test_a_missing_key_names_the_variable(nodes: ModuleType) -> None:
    with pytest.raises(KeyMissing, match="REPLICATE_API_TOKEN"):
        remove(nodes, hosted(nodes, "replicate"), [batch(0)])


def test_cores_node_runs_a_hosted_remover(nodes: ModuleType, fal: HostedServer) -> None:
    mask = hosted(nodes).encode_image(batch(0, 1))
    torch.testing.assert_close(mask, alpha_of(batch(0, 1)), atol=1e-6, rtol=0)
    assert fal.bills == 2


# ---------------------------------------------------------------- core's node and model


def test_core_remove_background_takes_our_remover(nodes: ModuleType) -> None:
    plug = remover(nodes, FakeLocal())
    mask = plug.encode_image(batch(0, 1))
    _, wanted, _ = remove(nodes, plug, [batch(0, 1)])
    assert torch.equal(mask, wanted[0])


@pytest.mark.parametrize("asked", [{}, {"image_size": None}, {"image_size": 1024}])
def test_core_remove_background_may_ask_for_a_size(
    nodes: ModuleType, caplog: pytest.LogCaptureFixture, asked: dict[str, Any]
) -> None:
    """Core's node always names its resolution since ComfyUI 0.34."""
    caplog.set_level(logging.INFO, "rmbg_nodes")
    plug = remover(nodes, FakeLocal())
    for _ in range(2):
        assert torch.equal(plug.encode_image(batch(0), **asked), plug.encode_image(batch(0)))
    said = ["fake/local has no resolution, so 1024 was left aside."]
    assert caplog.messages == (said if asked.get("image_size") else [])


def test_what_a_later_core_asks_for_is_left_aside_and_said_once(
    nodes: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    plug = remover(nodes, FakeLocal())
    for _ in range(2):
        mask = plug.encode_image(batch(0), threshold=0.5, crop=True)
        assert torch.equal(mask, plug.encode_image(batch(0)))
    assert [line.partition(" asks for ")[2].partition(",")[0] for line in caplog.messages] == [
        "threshold",
        "crop",
    ]


def local(nodes: ModuleType, path: Path, resolution: int) -> Any:
    options: dict[str, Any] = {"weights": str(path), "resolution": resolution}
    host = PlainHost({"RMBG_DEVICE": "cpu", "XDG_DATA_HOME": str(path.parent)}, platform="linux")
    return remover(nodes, open_backend("local/birefnet", options=options, host=host))


def test_cores_size_reaches_a_local_model_and_load_rmbgs_comes_first(
    nodes: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rmbg_nodes")
    path = tmp_path / "small.safetensors"
    weights = small_birefnet().float().state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    wanted = local(nodes, path, 320).encode_image(batch(0))
    assert torch.equal(local(nodes, path, 0).encode_image(batch(0), image_size=320), wanted)
    assert not any("resolution" in line for line in caplog.messages)
    assert torch.equal(local(nodes, path, 320).encode_image(batch(0), image_size=1024), wanted)
    assert "Load RMBG says resolution 320, which comes before 1024." in caplog.messages
    _, masks, _ = remove(nodes, local(nodes, path, 256), [batch(0)], resolution=320)
    assert torch.equal(masks[0], wanted)
    with pytest.raises(BadOption, match="The resolution is 4096"):
        remove(nodes, local(nodes, path, 256), [batch(0)], resolution=4096)


class SizedCoreModel:
    """The same since ComfyUI 0.34: it takes the side of its square."""

    def __init__(self) -> None:
        self.sizes: list[int | None] = []

    def encode_image(self, image: torch.Tensor, image_size: int | None = None) -> torch.Tensor:
        self.sizes.append(image_size)
        return image.mean(dim=-1)


def test_cores_model_gets_the_size_from_our_node(nodes: ModuleType) -> None:
    model = SizedCoreModel()
    remove(nodes, model, [batch(0)])
    remove(nodes, model, [batch(0, 1)], resolution=2048)
    assert model.sizes == [None, 2048, 2048]


def test_an_older_cores_model_has_its_own_size_and_the_report_says_so(nodes: ModuleType) -> None:
    _, masks, reports = remove(nodes, CoreModel(), [batch(0)], resolution=2048)
    _, wanted, plain = remove(nodes, CoreModel(), [batch(0)])
    assert torch.equal(masks[0], wanted[0])
    assert "Note: the model of this ComfyUI works at its own size" in reports[0]
    assert "its own size" not in plain[0]


def test_a_resolution_is_nothing_to_other_backends_and_is_said(
    nodes: ModuleType, fal: HostedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Turning the menu of Load RMBG changes nothing else in the graph."""
    remove(nodes, hosted(nodes), [batch(0)], resolution=2048)
    assert told(caplog) == [
        "Remove Background (RMBG): fal/rmbg-2.0 has no resolution, so 2048 was left aside."
    ]


class CoreModel:
    """What core's Load Background Removal Model hands over, up to ComfyUI 0.33."""

    def encode_image(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean(dim=-1).half()


def test_our_node_takes_cores_model(nodes: ModuleType) -> None:
    _, masks, reports = remove(nodes, CoreModel(), [batch(0, 1)])
    torch.testing.assert_close(masks[0], batch(0, 1).mean(dim=-1), atol=1e-3, rtol=0)
    assert "not established" in reports[0]


def test_cores_model_is_refused_for_commercial_use(nodes: ModuleType, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_USAGE", "commercial")
    with pytest.raises(LicenceRefused, match="not established"):
        remove(nodes, CoreModel(), [batch(0)])


def test_a_pinned_backend_replaces_cores_model(nodes: ModuleType, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_BACKEND", "keyer")
    _, _, reports = remove(nodes, CoreModel(), [batch(0)])
    assert "keyer" in reports[0]
    assert "core" not in reports[0]


@pytest.mark.parametrize("name", ["mask", "keep", "drop"])
def test_masks_outside_their_range_are_refused(nodes: ModuleType, name: str) -> None:
    masks = {"mask": disc_mask(), name: torch.full((48, 64), 255.0)}
    given = masks.pop("mask")
    with pytest.raises(BadPicture, match=rf"{name}.*from 255 to 255"):
        apply_mask(nodes, batch(0), given, **masks)


class TestCoreModelBackend(BackendContract):
    @pytest.fixture
    def make(self, nodes: ModuleType):
        module = importlib.import_module("rmbg_nodes.nodes.core_model")
        return lambda: module.CoreModelBackend(CoreModel())


class TestSizedCoreModelBackend(BackendContract):
    @pytest.fixture
    def make(self, nodes: ModuleType):
        module = importlib.import_module("rmbg_nodes.nodes.core_model")
        return lambda: module.CoreModelBackend(SizedCoreModel()).at(512)


# ---------------------------------------------------------------- Apply Mask


def disc_mask(size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (height / 4 - torch.hypot(y - height / 2, x - width / 2) + 0.5).clamp(0, 1)


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_masks_of_two_three_and_four_dimensions(nodes: ModuleType, dimensions: int) -> None:
    mask = disc_mask()
    shaped = mask[(None,) * (dimensions - 2)]
    image, alpha = apply_mask(nodes, batch(0), shaped)
    assert image.shape == (1, 48, 64, 4)
    assert torch.equal(alpha, mask[None])


def test_one_picture_many_masks_and_the_other_way(nodes: ModuleType) -> None:
    masks = torch.stack([disc_mask(), 1 - disc_mask(), torch.ones(48, 64)])
    image, _ = apply_mask(nodes, batch(0), masks)
    assert image.shape == (3, 48, 64, 4)
    image, _ = apply_mask(nodes, batch(0, 1, 2), disc_mask())
    assert image.shape == (3, 48, 64, 4)
    with pytest.raises(BadOption, match="2"):
        apply_mask(nodes, batch(0, 1, 2), masks[:2])


def test_a_mask_of_another_size_is_resized(nodes: ModuleType) -> None:
    image, alpha = apply_mask(nodes, batch(0), torch.ones(1, 64, 64))
    assert torch.equal(alpha, torch.ones(1, 48, 64))
    assert torch.equal(image[..., :3], batch(0))


def test_a_mask_replaces_the_pictures_alpha(nodes: ModuleType) -> None:
    rgba = torch.cat([batch(0), torch.full((1, 48, 64, 1), 0.5)], dim=-1)
    image, alpha = apply_mask(nodes, rgba, disc_mask())
    assert torch.equal(image[..., 3], disc_mask()[None])
    assert torch.equal(alpha, disc_mask()[None])


def test_keep_and_drop_correct_the_mask(nodes: ModuleType) -> None:
    keep, drop = torch.zeros(1, 48, 64), torch.zeros(1, 48, 64)
    keep[:, :5, :5] = 1
    drop[:, 20:28, 28:36] = 1
    _, alpha = apply_mask(nodes, batch(0), disc_mask(), keep=keep, drop=drop)
    assert torch.equal(alpha[0, :5, :5], torch.ones(5, 5))
    assert torch.equal(alpha[0, 20:28, 28:36], torch.zeros(8, 8))


def test_every_option_of_apply_mask_reaches_the_mask(nodes: ModuleType) -> None:
    ring = disc_mask() - torch.nn.functional.pad(disc_mask((16, 16)), (24, 24, 16, 16))
    ring = ring.clamp(0, 1)
    ring[2:4, 2:4] = 1
    _, plain = apply_mask(nodes, batch(0), ring)
    for name, value in {
        "invert": True,
        "black_point": 0.4,
        "white_point": 0.6,
        "threshold": 0.5,
        "fill_holes": 1.0,
        "remove_islands": 0.5,
        "grow": 3.0,
        "feather": 4.0,
    }.items():
        _, changed = apply_mask(nodes, batch(0), ring, **{name: value})
        assert not torch.equal(changed, plain), name
    image, _ = apply_mask(nodes, batch(0), ring, background="white")
    assert image.shape[-1] == 3


def test_opaque_pixels_keep_their_colour(nodes: ModuleType) -> None:
    levels = torch.randint(0, 256, (1, 48, 64, 3), generator=torch.Generator().manual_seed(3))
    image = levels / 255
    cut, _ = apply_mask(nodes, image, torch.ones(48, 64))
    assert torch.equal((cut[..., :3] * 255).to(torch.uint8), (image * 255).to(torch.uint8))
    inside = disc_mask() == 1
    cut, _ = apply_mask(nodes, image, disc_mask())
    assert torch.equal(cut[0, ..., :3][inside], image[0][inside])


def test_apply_mask_can_be_cancelled(nodes: ModuleType, comfy: Control) -> None:
    comfy.interrupt_after = 2
    with pytest.raises(InterruptProcessingException):
        apply_mask(nodes, batch(*range(8)), disc_mask())


# -------------------------------------------------------------- no mask, masks of other shapes

NO_MASK = torch.zeros(1, 64, 64)  # what Load Image hands over for a picture without transparency


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "rmbg_nodes"]


def defaults_of(node: Any) -> dict[str, object]:
    inputs = node.GET_SCHEMA().inputs
    return {item.id: item.settings["default"] for item in inputs if "default" in item.settings}


@pytest.mark.parametrize("shape", [(64, 64), (1, 64, 64), (2, 64, 64), (1, 1, 64, 64)])
@pytest.mark.parametrize("invert", [False, True])
def test_load_images_no_mask_keeps_the_picture(
    nodes: ModuleType, caplog: pytest.LogCaptureFixture, shape: tuple[int, ...], invert: bool
) -> None:
    image, alpha = apply_mask(nodes, batch(0, 1), torch.zeros(shape), invert=invert)
    assert torch.equal(alpha, torch.ones(2, 48, 64))
    assert torch.equal(image[..., :3], batch(0, 1))
    (words,) = told(caplog)
    assert words.startswith("Apply Mask (RMBG): No mask was given: 64 x 64 zeros")


def test_load_images_no_mask_keeps_the_pictures_own_alpha(nodes: ModuleType) -> None:
    for invert in (False, True):
        image, alpha = apply_mask(nodes, rgba(0), NO_MASK.half(), invert=invert, grow=2.0)
        _, wanted = apply_mask(nodes, batch(0), disc_mask(), grow=2.0)
        assert torch.equal(alpha, wanted)
        assert torch.equal(image[..., 3], wanted)


def test_a_64_x_64_mask_that_says_something_is_a_mask(nodes: ModuleType) -> None:
    for mask in (disc_mask((64, 64)), torch.full((64, 64), 1e-6)):
        _, alpha = apply_mask(nodes, batch(0), mask)
        assert alpha.min() < 1e-5
    # Of a picture of just this size nobody can tell; what the mask says holds.
    small = batch(0, size=(64, 64))
    _, alpha = apply_mask(nodes, small, NO_MASK)
    assert torch.equal(alpha, torch.zeros(1, 64, 64))


def test_no_mask_into_composite_leaves_the_foreground(
    nodes: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    image, coverage = compose(nodes, batch(0), mask=NO_MASK)
    assert torch.equal(image, batch(0))
    assert torch.equal(coverage, torch.ones(1, 48, 64))
    with_alpha, _ = compose(nodes, rgba(0), mask=NO_MASK)
    assert torch.equal(with_alpha, compose(nodes, rgba(0))[0])
    assert [words.startswith("Composite (RMBG): No mask") for words in told(caplog)] == [True] * 2


def test_painted_corrections_that_say_nothing_change_nothing_and_are_no_news(
    nodes: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    image, alpha = apply_mask(nodes, batch(0), disc_mask(), keep=NO_MASK, drop=NO_MASK)
    assert torch.equal(alpha, disc_mask()[None])
    assert told(caplog) == []


@pytest.mark.parametrize("name", ["mask", "keep", "drop"])
def test_a_mask_of_other_proportions_is_stretched_and_said(
    nodes: ModuleType, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    masks = {"mask": disc_mask()} | {name: disc_mask((100, 50))}
    given = masks.pop("mask")
    output = nodes.ApplyMask.execute(
        image=batch(0), mask=given, **defaults_of(nodes.ApplyMask), **masks
    )
    (words,) = told(caplog)
    assert f"The {name} is 50 x 100 and the picture 64 x 48: other proportions" in words
    assert words == f"Apply Mask (RMBG): {output.ui['text'][0]}"


def test_a_mask_of_the_same_proportions_is_no_news(
    nodes: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    """Scaled by anything and rounded to whole pixels, whichever way."""
    for width in range(8, 300, 7):
        for height in (width * 48 // 64, -(-width * 48 // 64)):
            apply_mask(nodes, batch(0), torch.ones(height, width))
            compose(nodes, batch(0), mask=torch.ones(height, width))
    assert told(caplog) == []


def test_many_masks_of_other_proportions_are_one_warning(
    nodes: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    image, coverage = compose(nodes, batch(0), mask=torch.ones(3, 20, 90))
    assert coverage.shape == (3, 48, 64)
    assert len(told(caplog)) == 1


def test_a_mask_that_leaves_nothing_is_said(
    nodes: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    """Load Image's mask of an opaque RGBA file is 0 everywhere, at the picture's size."""
    masks = torch.stack([disc_mask(), torch.zeros(48, 64)])
    apply_mask(nodes, batch(0), masks)
    compose(nodes, batch(0), mask=torch.zeros(48, 64))
    apply_mask(nodes, batch(0), torch.zeros(48, 64), invert=True)
    partly, wholly = told(caplog)
    assert "leaves nothing of 1 of 2 pictures" in partly
    assert "Composite (RMBG): The mask leaves nothing of the picture" in wholly


def test_a_node_says_nothing_where_nothing_is_worth_a_look(nodes: ModuleType) -> None:
    said = masked(nodes, batch(0), NO_MASK).ui
    assert "No mask was given" in said["text"][0]
    assert said["rmbg_urgent"] == []
    assert masked(nodes, batch(0), disc_mask()).ui is None


def test_a_cut_out_that_a_mask_leaves_nothing_of_is_urgent(nodes: ModuleType) -> None:
    nothing = torch.zeros(48, 64)
    for said in (
        masked(nodes, batch(0), nothing).ui,
        composed(nodes, batch(0), mask=nothing).ui,
    ):
        assert said["rmbg_urgent"] == said["text"] != []


# ---------------------------------------------------------------- Composite


def rgba(*indices: int) -> torch.Tensor:
    return torch.cat(
        [batch(*indices), disc_mask()[None, ..., None].expand(len(indices), -1, -1, -1)], dim=-1
    )


def test_on_the_default_colour(nodes: ModuleType) -> None:
    image, coverage = compose(nodes, rgba(0))
    alpha = disc_mask()[None, ..., None]
    torch.testing.assert_close(image, alpha * batch(0) + (1 - alpha), atol=1e-6, rtol=0)
    assert torch.equal(image[alpha[..., 0] == 0], torch.ones(int((alpha == 0).sum()), 3))
    assert torch.equal(coverage, disc_mask()[None])


def test_one_foreground_over_many_backgrounds(nodes: ModuleType, comfy: Control) -> None:
    backgrounds = torch.rand(5, 60, 80, 3, generator=torch.Generator().manual_seed(5))
    image, coverage = compose(nodes, rgba(0), background=backgrounds)
    assert image.shape == (5, 60, 80, 3)
    assert coverage.shape == (5, 60, 80)
    assert comfy.progress[-1] == (5, 5)
    image, _ = compose(nodes, rgba(0, 1, 2), background=backgrounds[:1])
    assert image.shape == (3, 60, 80, 3)


def test_a_negative_offset_moves_out_of_the_picture(nodes: ModuleType) -> None:
    background = torch.zeros(1, 48, 64, 3)
    image, _ = compose(
        nodes, rgba(0), background=background, anchor="top-left", offset_x=-10, offset_y=-20
    )
    alpha = disc_mask()[None, ..., None]
    expected = torch.zeros(1, 48, 64, 3)
    expected[:, :28, :54] = (alpha * batch(0))[:, 20:, 10:]
    torch.testing.assert_close(image, expected, atol=1e-6, rtol=0)


def test_fit_to_the_subject_keeps_the_margin(nodes: ModuleType) -> None:
    background = torch.zeros(1, 200, 200, 3)
    _, coverage = compose(nodes, rgba(0), background=background, fit="subject", margin=0.1)
    rows = torch.where(coverage[0].amax(dim=1) > 0.02)[0]
    assert abs(int(rows[0]) - 20) <= 1
    assert abs(int(rows[-1]) - 179) <= 1


def test_a_connected_mask_replaces_the_alpha(nodes: ModuleType) -> None:
    _, coverage = compose(nodes, rgba(0), mask=torch.ones(1, 48, 64))
    assert torch.equal(coverage, torch.ones(1, 48, 64))


def test_grey_over_rgba_keeps_alpha(nodes: ModuleType) -> None:
    clear = torch.zeros(1, 48, 64, 4)
    grey = batch(0).mean(dim=-1, keepdim=True)
    image, _ = compose(nodes, grey, mask=disc_mask(), background=clear)
    assert image.shape == (1, 48, 64, 4)
    torch.testing.assert_close(image[..., 3], disc_mask()[None])


def test_composite_refuses_values_outside(nodes: ModuleType) -> None:
    with pytest.raises(BadPicture, match="background 1 of 1"):
        compose(nodes, rgba(0), background=torch.full((1, 8, 8, 3), 7.0))


# ---------------------------------------------------------------- polarity


def core_join(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Core's JoinImageWithAlpha: it stores 1 - mask as alpha."""
    return torch.cat([image[..., :3], (1 - mask)[..., None]], dim=-1)


def test_our_mask_goes_round_through_core(nodes: ModuleType) -> None:
    """ours (1 = subject) -> InvertMask -> JoinImageWithAlpha -> file -> LoadImage -> ours."""
    _, masks, _ = remove(nodes, remover(nodes, FakeLocal()), [batch(0)])
    joined = core_join(batch(0), 1 - masks[0])
    loaded_mask = 1 - joined[..., 3]  # LoadImage: 1 = transparent
    _, alpha = apply_mask(nodes, joined, loaded_mask, invert=True)
    torch.testing.assert_close(alpha, masks[0])
