"""docs/hosted.md says what the rows say."""

# Pins the inside of config.keys

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rmbg_nodes.catalogue.hosted_models import BASE_VARIABLES, ROWS
from rmbg_nodes.config import hosted, keys
from rmbg_nodes.config.hosted import hosting_of
from rmbg_nodes.config.settings import CACHE_VARIABLE, read_settings
from rmbg_nodes.core.specs import BackendSpec

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "hosted.md").read_text(encoding="utf-8")
rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def lines_with(*parts: str) -> list[str]:
    """The lines of tables that begin with the first part and hold the others."""
    return [
        line
        for line in TEXT.splitlines()
        if line.startswith(f"| {parts[0]}") and all(part in line for part in parts)
    ]


def megabytes(count: int) -> str:
    return f"{count / 1e6:.{2 if count < 1e6 else 0 if count >= 1e8 else 1}f} MB"


@rows
def test_every_backend_with_its_price_and_sizes(row: BackendSpec) -> None:
    hosting = hosting_of(row)
    assert row.price is not None
    assert lines_with(
        f"`{row.id}`",
        f"`{hosting.endpoint}`",
        f"| {row.price} |",
        f"| {row.price.as_of}",
        f"| {megabytes(hosting.most_bytes)} | {megabytes(hosting.inline_bytes)} |",
        f"| {hosting.seconds} s |",
    )
    assert ("reseller" in row.price.source) == bool(lines_with(f"`{row.id}`", "reseller"))


@rows
def test_every_provider_with_its_keys_limits_and_retention(row: BackendSpec) -> None:
    hosting, provider = hosting_of(row), f"`{row.provider}`"
    variables = ", ".join(f"`{variable}`" for variable in row.key_variables)
    assert lines_with(provider, f"| {variables}", f"<{hosting.key_page}>")
    assert lines_with(provider, f"| {hosting.in_flight} ", f"| {hosting.requests_a_minute} ")
    assert lines_with(provider, f"| {hosting.retention} | {hosting.region} |")
    assert f"<{hosting.jobs_page}>" in TEXT
    assert not hosting.marks or hosting.marks in TEXT


@rows
def test_every_setting_of_a_provider_is_explained(row: BackendSpec) -> None:
    for option in row.options:
        assert re.search(rf"`{option.name}`|{option.name}=", TEXT), option.name


@pytest.mark.parametrize("variable", hosted.VARIABLES)
def test_every_variable_is_explained(variable: str) -> None:
    assert f"`{variable}" in TEXT


@pytest.mark.parametrize(("variable", "official"), BASE_VARIABLES.items())
def test_every_address_that_can_be_replaced(variable: str, official: str) -> None:
    assert lines_with(f"`{variable}`", f"`{official}`")


def test_the_halves_of_a_key_and_the_defaults() -> None:
    for halves in keys._HALVES.values():
        assert all(f"`{half}`" in TEXT for half in halves)
    assert f"holds {read_settings({}).cache_bytes // 10**6} MB" in TEXT
    assert f"`{CACHE_VARIABLE}=0`" in TEXT
    assert f"default {hosted.limits_of(ROWS[0], {}).job_seconds:.0f})" in TEXT


def test_it_stays_readable() -> None:
    prose = re.sub(r"<!-- made: .*?<!-- end -->", "", TEXT, flags=re.DOTALL)
    assert len(prose.splitlines()) < 150
