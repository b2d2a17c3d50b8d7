"""What would happen if a backend were run now, in words."""

# Pins the inside of backends.local.find
# Pins the inside of backends.local.released
# Pins the inside of config.keys
# Pins the inside of core.money

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import torch

from rmbg_nodes.backends.local import find
from rmbg_nodes.backends.local.released import RELEASED
from rmbg_nodes.catalogue import backends
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.config.keys import set_key
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.money import Budget
from rmbg_nodes.core.specs import OptionValue, Price
from rmbg_nodes.core.types import Usage
from rmbg_nodes.pipeline.context import open_user_records
from rmbg_nodes.pipeline.readiness import BLOCKED, Readiness, best_backend, readiness

SECRET = "sentinel-key-5d80c1"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlainHost:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return PlainHost({"RMBG_DATA": str(tmp_path / "data"), "RMBG_MODELS": str(tmp_path / "models")})


def ask(
    host: PlainHost,
    backend: str,
    usage: Usage | None = None,
    settings: Settings | None = None,
    **options: OptionValue,
) -> Readiness:
    return readiness(backend, options, usage, host, device="cuda:0", settings=settings)


def test_the_keyer_is_always_ready_and_says_what_it_is_for(host: PlainHost) -> None:
    said = ask(host, "keyer", "commercial")
    assert (said.state, said.backend) == ("ready", "keyer")
    assert "plain backdrop" in said.words


def test_weights_that_are_missing_can_be_fetched(host: PlainHost) -> None:
    said = ask(host, "local/rmbg-2.0")
    assert said.state == "weights"
    assert "885 MB" in said.words
    assert "Download" in said.words
    assert "weights get rmbg-2.0" in said.command
    offer = said.weights
    assert offer is not None
    assert offer.gated
    assert offer.size == RELEASED[0].size
    assert offer.terms == "nonCommercial"
    assert ask(host, "local/birefnet", download=True).state == "ready"


def test_offline_nothing_can_be_fetched_or_sent(host: PlainHost) -> None:
    offline = Settings(offline=True)
    for backend in ("local/rmbg-1.4", "bria"):
        said = ask(host, backend, settings=offline)
        assert said.state == "offline"
        assert "RMBG_OFFLINE" in said.words
        assert said.weights is None
    assert ask(host, "local/rmbg-1.4", settings=offline, download=True).state == "offline"


def released(host: PlainHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the place of RMBG-1.4's, and a table that knows it."""
    path = tmp_path / "models" / "RMBG-1.4" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    rows = [
        replace(row, size=7, sha256=hashlib.sha256(b"weights").hexdigest())
        if (row.model, row.file) == ("rmbg-1.4", path.name)
        else row
        for row in RELEASED
    ]
    for function in (find.find_weights, find.own_file, find.identify):
        defaults = function.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "rows", rows)


def test_weights_that_are_here_are_ready_with_file_device_and_licence(
    host: PlainHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert best_backend(host) == "keyer"
    released(host, tmp_path, monkeypatch)
    said = ask(host, "local/rmbg-1.4", "non-commercial")
    assert said.state == "ready"
    for fact in ("RMBG-1.4 (model.safetensors)", "cuda:0", "bria-rmbg-1.4", "non-commercial"):
        assert fact in said.words
    assert best_backend(host) == "local/rmbg-1.4"
    refused = ask(host, "local/rmbg-1.4", "commercial")
    assert refused.state == "refused"
    assert "Ways out" in refused.words


def test_a_file_of_the_users_own(host: PlainHost, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    said = ask(host, "local/rmbg-2.0", weights=str(path))
    assert said.state == "refused"
    assert "There is no file" in said.words
    path.write_bytes(b"mine")
    said = ask(host, "local/rmbg-2.0", weights=str(path))
    assert said.state == "ready"
    assert "mine.safetensors" in said.words


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("nobody", {}),
        ("local/rmbg-2.0", {"resolution": 100, "weights": "x"}),
        ("local/birefnet", {"precision": "half"}),
        ("bria", {"model": "x"}),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    host: PlainHost, backend: str, options: dict[str, OptionValue]
) -> None:
    said = readiness(backend, options, None, host)
    assert said.state == "refused"
    assert len(said.words) > 20


def test_half_precision_that_loses_is_refused_before_the_run(
    tmp_path: Path,
) -> None:
    class Slow(PlainHost):
        def slowdown(self, dtype: torch.dtype) -> float:
            return 1.0 if dtype == torch.float32 else 6.4

    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"mine")
    slow = Slow({"RMBG_DATA": str(tmp_path), "RMBG_DEVICE": "cpu"})
    said = ask(slow, "local/rmbg-1.4", weights=str(path), precision="bfloat16")
    assert said.state == "refused"
    assert "6.4 times as long" in said.words
    assert ask(slow, "local/rmbg-1.4", weights=str(path), precision="auto").state == "ready"


def test_a_key_that_is_missing_can_be_set(host: PlainHost) -> None:
    said = ask(host, "replicate")
    assert said.state == "key"
    assert "0.018 USD a picture" in said.words
    assert "Set key" in said.words
    assert said.key is not None
    assert said.key.page.startswith("https://replicate.com/")
    assert ask(host, "replicate", profile=SECRET).state == "key"
    assert SECRET not in str(ask(host, "replicate", profile=SECRET))


def keep(provider: str) -> None:
    set_key(backends.find(provider), SECRET)


def test_a_paid_picture_says_what_it_costs_and_what_is_left(host: PlainHost) -> None:
    keep("fal")
    said = ask(host, "fal", "commercial")
    assert said.state == "ready"
    assert "0.018 USD a picture" in said.words
    assert "no budget is set" in said.words
    assert "queue.fal.run" in said.words
    assert SECRET not in str(said)
    assert best_backend(host) == "fal/rmbg-2.0"
    budget = Settings(budget=Budget(day=Decimal("0.05"), month=Decimal("1")))
    assert "leaves 0.05 USD today" in ask(host, "fal", settings=budget).words
    spending = open_user_records().spending
    spending.reserve("fal/rmbg-2.0:x", Price(Decimal("0.04"), "USD", "", ""), Budget())
    said = ask(host, "fal", settings=budget)
    assert said.state == "budget"
    assert said.state not in BLOCKED  # what was paid for earlier costs nothing
    assert "leaves 0.01 USD today" in said.words


def test_the_pin_of_a_deployment_is_what_is_judged(host: PlainHost) -> None:
    said = ask(host, "fal", settings=Settings(backend="keyer"))
    assert (said.state, said.backend) == ("ready", "keyer")
