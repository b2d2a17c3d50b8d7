"""Background removal as one step of anybody's own pipeline: Ray Data, Spark, Dask, a plain loop."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

from ..config.settings import Settings, read_settings
from ..core.errors import BadOption, PictureError
from ..core.report import FailureReport
from ..core.specs import OptionValue
from ..core.types import Failure, Job, Usage
from ..pipeline.context import open_user_records
from ..pipeline.executor import usual_workers
from ..pipeline.finishing import Done
from ..pipeline.hand_over import Settle, deliver
from ..pipeline.inputs import Failed
from .produce import produce
from .ray.shared_budget import SharedBudget
from .recipe.model import Recipe
from .recipe.recipe_file import read_recipe
from .session import Opener, Request, Session

#: What is added to the row of each picture. image, mask: the contents of files as the recipe has
#: them, or None. error: why there is none, in words; error_type: the name of its class. report:
#: JSON, as `Report.data` or `FailureReport.data` has it.
ADDED = ("image", "mask", "error", "error_type", "report")

_Row: TypeAlias = "dict[str, bytes | str | None]"


class Remover:
    """A callable for `map_batches`, `mapInPandas` and `map_partitions`: pictures in, cut-outs out.

    recipe: a Recipe, or the path of its TOML file (read where the object is made); by default a
    transparent PNG, without a mask. backend: instead of the recipe's, an id with its options,
    or a callable without arguments that returns a Backend and can be pickled. workers: threads that
    decode and encode beside the model, by default one for each processor, at most 8.

    The object is small and can be pickled before and after its first call. The backend is opened
    at the first call, once in each copy that is called. Calls may come from several threads, and
    are then one run of the backend. max_cost of the recipe holds for all calls of one copy.

    >>> Remover(backend="keyer")({"bytes": [b"no picture"], "sku": [7]})["sku"]
    [7]
    """

    def __init__(
        self,
        recipe: Recipe | str | Path | None = None,
        *,
        backend: str | Opener | None = None,
        options: Mapping[str, OptionValue] | None = None,
        usage: Usage | None = None,
        workers: int | None = None,
        settings: Settings | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise BadOption(f"{workers} workers can do nothing; give 1 or more.")
        if not isinstance(recipe, Recipe):
            recipe = read_recipe(None if recipe is None else Path(recipe))
        if isinstance(backend, str):
            recipe = replace(recipe, backend=backend, options=options or {})
        elif options is not None:
            recipe = replace(recipe, options=options)
        self._recipe = replace(recipe, usage=usage) if usage else recipe
        self._opener = None if isinstance(backend, str) else backend
        self._workers = workers
        self._settings = settings
        self._opening = threading.Lock()
        self._session: Session[_Row] | None = None

    def __call__(self, batch: Mapping[str, Iterable[object]]) -> dict[str, list[object]]:
        """One batch: columns of equal length, as lists, arrays or the series of a data frame.

        Column "bytes" (contents of picture files) or "path"; "name" or "key" is what messages call
        the picture. All columns but "bytes" come back as they are, with the same rows in the same
        order, and the columns `ADDED` beside them. A picture that cannot be used has an error in
        its row and no image. Raises BadOption for a batch without these columns; LicenceRefused,
        KeyMissing, OverBudget and the other Refusals: what was paid for until then is kept, and
        costs nothing when the batch is tried again.
        """
        columns = {name: _listed(name, batch[name]) for name in batch}
        held: list[Settle] = []

        def hand_over(row: _Row, settle: Settle) -> None:
            if row["error"] is None:
                held.append(settle)

        orders = [self._order(row, columns, hand_over) for row in range(_rows(columns))]
        futures = self._open_session().work(orders) if orders else []
        made = [future.result() for future in futures]
        for settle in held:
            settle()
        added: dict[str, list[object]] = {name: [row[name] for row in made] for name in ADDED}
        return {**{name: column for name, column in columns.items() if name != "bytes"}, **added}

    def close(self) -> None:
        """Let go of the backend; the next call opens it again."""
        with self._opening:
            session, self._session = self._session, None
        if session:
            session.close()

    def __getstate__(self) -> dict[str, object]:
        return {"arguments": (self._recipe, self._opener, self._workers, self._settings)}

    def __setstate__(
        self, state: Mapping[str, tuple[Recipe, Opener | None, int, Settings]]
    ) -> None:
        self._recipe, self._opener, self._workers, self._settings = state["arguments"]
        self._opening = threading.Lock()
        self._session = None

    def _open_session(self) -> Session[_Row]:
        with self._opening:
            if self._session is None:
                self._session = Session(
                    self._recipe,
                    self._opener,
                    self._settings or read_settings(),
                    workers=self._workers or usual_workers(),
                    job=_run_budget(self._recipe.max_cost),
                )
            return self._session

    def _order(
        self,
        row: int,
        columns: Mapping[str, list[object]],
        hand_over: Callable[[_Row, Settle], None],
    ) -> Request[_Row]:
        cells = {name: column[row] for name, column in columns.items()}
        content = (
            cells["path"] if cells.get("bytes") is None and "path" in cells else cells["bytes"]
        )
        named = next((cells[name] for name in ("name", "key", "path") if name in cells), "")
        name = str(named or "") or f"row {row + 1}"
        if isinstance(content, (bytearray, memoryview)):
            content = bytes(content)
        # numpy's own bytes are of another class, which picture readers need not know.
        file = bytes(content) if isinstance(content, bytes) else Path(str(content or ""))
        return Request(name, file, partial(self._row, name), hand_over)

    def _row(self, name: str, result: Done | Failed) -> _Row:
        settings = self._open_session().settings
        encoded = partial(produce, recipe=self._recipe, weights=settings.weights)
        end = deliver(result, encoded, None, open_user_records(settings).files)
        if isinstance(result, Failed):
            return _failed(name, result.failure, result.receipt)
        report = result.report
        if end.error is not None:
            # BadOption is what only writing raises.
            error, facts = cast("PictureError", end.error), report.facts
            return _failed(name, Failure(error, facts.request_id, facts.cost), report.receipt)
        report = replace(report, warnings=(*report.warnings, *end.trouble))
        return {
            "image": end.files["image"],
            "mask": end.files.get("mask"),
            "error": None,
            "error_type": None,
            "report": json.dumps(report.data()),
        }


def _run_budget(max_cost: Decimal | None) -> Job:
    if max_cost is None:
        return Job()
    return SharedBudget(Path(":memory:"), max_cost, owner=str(os.getpid()))


def _listed(name: str, column: Iterable[object]) -> list[object]:
    if getattr(getattr(column, "dtype", None), "kind", "") == "S":
        raise BadOption(
            f"The column {name!r} is a numpy array of fixed-length bytes, which loses the zero "
            "bytes at the end of a picture; give a list, or an array of objects."
        )
    return list(column)


def _rows(columns: Mapping[str, list[object]]) -> int:
    if not {"bytes", "path"} & set(columns):
        raise BadOption(
            f"The batch has the columns {', '.join(columns) or '(none)'}; it needs 'bytes', the "
            "contents of picture files, or 'path'."
        )
    taken = sorted(set(ADDED) & set(columns))
    if taken:
        raise BadOption(f"The batch has a column {taken[0]!r} already; rename it, or leave it out.")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise BadOption("The columns of the batch have different lengths.")
    return lengths.pop()


def _failed(name: str, failure: Failure, receipt: str | None) -> _Row:
    failure_report = FailureReport(name, failure, "leave out", receipt)
    return {
        "image": None,
        "mask": None,
        "error": str(failure.error),
        "error_type": type(failure.error).__name__,
        "report": json.dumps(failure_report.data()),
    }
