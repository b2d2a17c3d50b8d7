"""Opening our hosted backends on the loopback servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from rmbg_nodes.catalogue.backends import BACKENDS, find
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.specs import OptionValue
from rmbg_nodes.core.types import Backend, Failure, Frame, Job, Matte
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.gate import OpenBackend, open_backend
from rmbg_nodes.pipeline.inputs import Failed, Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.records.store import Records, open_records

from .server import SPEECHES, HostedServer

HOSTED_IDS = tuple(row.id for row in BACKENDS.values() if row.hosting)
PROVIDERS = tuple(dict.fromkeys(id.partition("/")[0] for id in HOSTED_IDS))
#: Where a lost answer is asked for again, by an idempotency key; and where it cannot be.
KEYED = tuple(
    dict.fromkeys(
        row.provider for row in BACKENDS.values() if row.hosting and row.hosting.repeatable
    )
)
UNKEYED = tuple(name for name in PROVIDERS if name not in KEYED)


@contextmanager
def loopback(
    monkeypatch: pytest.MonkeyPatch, provider: str, *, quick: bool = True, **given: object
) -> Iterator[HostedServer]:
    """A provider on this machine, with the environment that points at it.

    quick: no limit that would make a test wait.
    """
    assert provider in SPEECHES, f"{provider} has no row in tests/support/hosted/server.py"
    with HostedServer(provider, **given) as server:  # type: ignore[arg-type]
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        if quick:
            monkeypatch.setenv(f"RMBG_{provider.upper()}_REQUESTS_A_MINUTE", "60000")
        yield server


def opened(backend_id: str, **options: OptionValue) -> OpenBackend:
    """The backend, with the environment as it is now."""
    return open_backend(
        backend_id, settings=Settings(), options={**words_for(backend_id), **options}
    )


def words_for(backend_id: str) -> dict[str, OptionValue]:
    """What a model that is guided by words is told, as an option; nothing for the others."""
    instruction = find(backend_id).instruction
    return {instruction.name: instruction.example} if instruction else {}


def outcomes(
    backend: Backend, frames: Sequence[Frame], job: Job | None = None
) -> dict[int, Matte | Failure]:
    """Index -> result of one run."""
    return {o.index: cast("Matte | Failure", o.result) for o in backend.run(frames, job or Job())}


@dataclass
class Shop:
    """A user with a data folder, who runs the same pictures again and again."""

    folder: Path
    backend_id: str
    cache_bytes: int = 50_000_000
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    def records(self) -> Records:
        """As after a restart: nothing but the folder is remembered."""
        return open_records(self.folder, self.cache_bytes)

    def run(
        self, frames: Sequence[Frame], job: Job | None = None, **options: OptionValue
    ) -> dict[int, Done | Failed]:
        """One run through the whole pipeline."""
        records = self.records()
        inputs = [Input(f.index, f.name, lambda f=f: f.pixels) for f in frames]  # type: ignore[misc]
        results = remove(
            inputs,
            opened(self.backend_id, **{**self.options, **options}),
            Finishing(),
            settings=Settings(),
            job=job,
            records=records,
        )
        try:
            return {result.index: result for result in results}
        finally:
            records.journal.close()
