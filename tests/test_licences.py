"""The licence gate: who may do what, and what a refusal says."""

# Pins the inside of cli.backends_command
# Pins the inside of cli.licences_command

from __future__ import annotations

import re
import socket
from dataclasses import replace

import pytest

from rmbg_nodes.catalogue.backends import BACKENDS, DEFAULT_IDS, check_options, find
from rmbg_nodes.catalogue.licences import BRIA_LICENCE_VARIABLE, LICENCES
from rmbg_nodes.cli import backends_command, licences_command
from rmbg_nodes.config.settings import Settings, read_settings
from rmbg_nodes.core.errors import (
    BackendUnknown,
    BadOption,
    LicenceRefused,
    Offline,
)
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.gate import allow, open_backend
from rmbg_nodes.pipeline.inputs import Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.tests.conformance import disc_frame

WANTED_IDS = {
    "bria/rmbg-2.0",
    "fal/rmbg-2.0",
    "fal/rmbg-3.0",
    "replicate/rmbg-2.0",
    "local/rmbg-2.0",
    "local/rmbg-1.4",
    "keyer",
}


def test_the_catalogue_has_every_promised_id() -> None:
    assert set(BACKENDS) >= WANTED_IDS
    menu = ["local", "bria", "fal", "replicate", "keyer"]
    assert [provider for provider in DEFAULT_IDS if provider in menu] == menu
    assert find("local").id == "local/rmbg-2.0"
    assert find("fal").id == "fal/rmbg-2.0"


@pytest.mark.parametrize("spec", BACKENDS.values(), ids=lambda spec: spec.id)
def test_every_row_is_complete(spec) -> None:
    assert spec.licence in LICENCES, "add the row to catalogue/licences.py"
    licence = LICENCES[spec.licence]
    assert licence.attribution
    assert licence.training_data
    assert (spec.price is not None) == (spec.location == "hosted")
    assert bool(spec.key_variables) == (spec.location == "hosted")
    if spec.price is not None:
        assert spec.price.as_of
        assert spec.price.source
    for option in spec.options:
        assert option.tooltip
        assert not option.choices or option.default in option.choices


ALLOWED = {
    ("bria-rmbg-2.0", "non-commercial"): True,
    ("bria-rmbg-2.0", "commercial"): False,
    ("bria-rmbg-1.4", "commercial"): False,
    ("birefnet-mit", "non-commercial"): True,
    ("birefnet-mit", "commercial"): False,
    ("bria-api", "commercial"): True,
    ("fal-api", "commercial"): True,
    ("replicate-api", "commercial"): True,
    ("keyer", "commercial"): True,
}


@pytest.mark.parametrize(("case", "allowed"), ALLOWED.items(), ids=str)
def test_the_gate(case, allowed) -> None:
    licence, usage = case
    spec = next(spec for spec in BACKENDS.values() if spec.licence == licence)
    if allowed:
        in_force, ground = allow(spec, usage, Settings())
        assert in_force == usage
        assert LICENCES[licence].name in ground
    else:
        with pytest.raises(LicenceRefused):
            allow(spec, usage, Settings())


def test_a_refusal_names_the_ways_out() -> None:
    with pytest.raises(LicenceRefused) as refusal:
        allow(find("local/rmbg-2.0"), "commercial", Settings())
    message = str(refusal.value)
    for way in ("CC BY-NC 4.0", "bria/rmbg-2.0", "local/birefnet", "keyer", BRIA_LICENCE_VARIABLE):
        assert way in message
    assert "https://go.bria.ai/3D5EGp0" in message


def test_an_agreement_with_bria_opens_the_gate() -> None:
    settings = read_settings({BRIA_LICENCE_VARIABLE: "B-17", "RMBG_USAGE": "commercial"})
    usage, ground = allow(find("local/rmbg-1.4"), None, settings)
    assert usage == "commercial"
    assert "B-17" in ground


def test_a_licence_of_one_generation_is_none_for_a_later_one() -> None:
    """By BRIA's documents, a licence for RMBG 2.0 does not cover 3.0; nor the other way round."""
    third = replace(find("local/rmbg-2.0"), licence="bria-rmbg-3.0")
    with pytest.raises(LicenceRefused, match="RMBG_BRIA_LICENCE_3 to its number"):
        allow(third, "commercial", read_settings({BRIA_LICENCE_VARIABLE: "B-17"}))
    later = read_settings({"RMBG_BRIA_LICENCE_3": "B-99"})
    assert "agreement B-99" in allow(third, "commercial", later)[1]
    with pytest.raises(LicenceRefused, match=r"RMBG_BRIA_LICENCE to its number"):
        allow(find("local/rmbg-2.0"), "commercial", later)


def test_restricted_training_data_asks_for_an_acknowledgement() -> None:
    birefnet = find("local/birefnet")
    with pytest.raises(LicenceRefused) as refusal:
        allow(birefnet, "commercial", read_settings({}))
    for words in (
        "RMBG_ACCEPT_DATA_TERMS=1",
        "accept_data_terms = true",
        "--accept-data-terms",
        "https://github.com/ZhengPeng7/BiRefNet/issues/306",
        "2026-06-06",
        "keyer",
    ):
        assert words in str(refusal.value)
    settings = read_settings({"RMBG_ACCEPT_DATA_TERMS": "1"})
    _, ground = allow(birefnet, "commercial", settings)
    assert ground.startswith("commercial use under MIT")
    assert ground.endswith("accepted by RMBG_ACCEPT_DATA_TERMS")
    assert allow(birefnet, None, Settings()) == ("non-commercial", "non-commercial use under MIT")
    with pytest.raises(BadOption, match="RMBG_ACCEPT_DATA_TERMS"):
        read_settings({"RMBG_ACCEPT_DATA_TERMS": "maybe"})
    # It is no licence: what the licence itself refuses stays refused.
    with pytest.raises(LicenceRefused):
        allow(find("local/rmbg-2.0"), "commercial", settings)


@pytest.mark.parametrize("row", LICENCES.values(), ids=lambda row: row.id)
def test_what_is_said_of_training_data_has_a_source_and_a_date(row) -> None:
    if row.data_terms != "unknown" and row.id != "keyer":
        assert re.search(r"\d{4}-\d\d-\d\d", row.data_source)
        assert row.data_source in licences_command.markdown_table()


def test_an_agreement_does_not_cover_unknown_weights() -> None:
    settings = read_settings({BRIA_LICENCE_VARIABLE: "B-17"})
    unknown = replace(find("local/birefnet"), licence="not-established")
    with pytest.raises(LicenceRefused, match="not established"):
        allow(unknown, "commercial", settings)


def test_a_use_is_not_said_to_be_under_a_licence_that_is_not_established() -> None:
    unknown = replace(find("local/birefnet"), licence="not-established")
    assert allow(unknown, None, Settings()) == (
        "non-commercial",
        "non-commercial use; the licence is not established",
    )


def test_the_pinned_usage_wins_over_the_graph() -> None:
    settings = Settings(usage="commercial")
    with pytest.raises(LicenceRefused):
        allow(find("local"), "non-commercial", settings)
    usage, _ = allow(find("local"), "commercial", Settings(usage="non-commercial"))
    assert usage == "non-commercial"


def test_the_pinned_backend_wins_over_the_graph() -> None:
    settings = Settings(backend="keyer")
    backend = open_backend("local/rmbg-2.0", settings=settings, options={"resolution": 1024})
    assert backend.spec.id == "keyer"


def test_the_gate_comes_before_anything_is_looked_for(monkeypatch) -> None:
    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    for backend in ("local/rmbg-2.0", "local/rmbg-1.4"):
        with pytest.raises(LicenceRefused):
            open_backend(backend, usage="commercial", settings=Settings())


@pytest.mark.parametrize("backend", ["bria", "fal", "fal/rmbg-3.0", "replicate"])
def test_offline_refuses_every_hosted_backend(backend) -> None:
    with pytest.raises(Offline, match="offline"):
        open_backend(backend, settings=read_settings({"RMBG_OFFLINE": "1"}))


@pytest.mark.parametrize(("name", "value"), [("RMBG_OFFLINE", "ja"), ("RMBG_USAGE", "Commercial!")])
def test_a_mistyped_setting_is_refused(name, value) -> None:
    with pytest.raises(BadOption, match=name):
        read_settings({name: value})


def test_unknown_ids_and_options_are_named() -> None:
    with pytest.raises(BackendUnknown, match="keyer"):
        find("rmbg")
    with pytest.raises(BadOption, match="none"):
        check_options(find("keyer"), {"colour": "red"})
    with pytest.raises(BadOption, match="precision"):
        check_options(find("local/rmbg-1.4"), {"colour": "red"})
    with pytest.raises(BadOption, match="bfloat16"):
        check_options(find("local/rmbg-1.4"), {"precision": "fast"})


def test_the_tables_of_the_readme_are_made_of_the_rows(root) -> None:
    """To renew them: rmbg licences --markdown, rmbg backends --markdown."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert licences_command.markdown_table() in readme
    assert backends_command.markdown_table() in readme


def test_a_mistyped_usage_is_refused() -> None:
    with pytest.raises(BadOption, match="comercial"):
        allow(find("keyer"), "comercial", Settings())  # type: ignore[arg-type]


def test_a_mistyped_pin_names_its_variable() -> None:
    with pytest.raises(BackendUnknown, match="RMBG_BACKEND"):
        open_backend("keyer", settings=Settings(backend="foo"))


def test_offline_refusals_name_nothing_that_is_not_here() -> None:
    with pytest.raises(LicenceRefused) as refusal:
        allow(find("local"), "commercial", Settings(offline=True))
    assert "bria/rmbg-2.0" not in str(refusal.value)
    assert "keyer" in str(refusal.value)


def test_a_backend_keeps_the_use_it_was_opened_for() -> None:
    backend = open_backend("keyer", usage="commercial", settings=Settings())
    inputs = [Input(0, "a picture", lambda: disc_frame(0).pixels)]
    (result,) = remove(inputs, backend, Finishing())
    assert isinstance(result, Done)
    assert result.report.usage == "commercial"
