"""The pipeline with workers beside the model: the same results, in bounded memory, paid once."""

# Pins the inside of pipeline.executor

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from rmbg_nodes.core.errors import BadPicture, Cancelled, OverBudget
from rmbg_nodes.core.types import Job
from rmbg_nodes.pipeline.executor import ThreadedExecutor
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.inputs import Failed, Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.records.store import Records, open_records
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.fake_backend import FAKE_LOCAL, FakeHosted, FakeLocal, FakeProvider


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records(tmp_path / "records", 0)
    yield opened
    opened.close()


def picture(index: int) -> Input:
    pixels = disc_frame(index, (40, 50)).pixels
    return Input(index, f"picture {index}", lambda: pixels)


def broken(index: int) -> Input:
    def load() -> Tensor:
        raise BadPicture(f"picture {index} is damaged.")

    return Input(index, f"picture {index}", load)


def as_it_is(result: Done | Failed) -> Done | Failed:
    return result


def test_the_same_results_as_without_them(records: Records) -> None:
    inputs = [broken(index) if index % 5 == 3 else picture(index) for index in range(24)]
    alone = {
        one.index: one
        for one in remove(inputs, FakeLocal(), Finishing(refine=True), records=records)
    }
    beside = {
        one.index: one
        for one in remove(
            inputs, FakeLocal(), Finishing(refine=True), as_it_is, workers=3, records=records
        )
    }
    assert alone.keys() == beside.keys() == set(range(24))
    for index, one in alone.items():
        other = beside[index]
        if isinstance(one, Failed):
            assert isinstance(other, Failed)
            assert str(one.failure.error) == str(other.failure.error)
        else:
            assert isinstance(other, Done)
            assert torch.equal(one.image, other.image)
            assert torch.equal(one.mask, other.mask)
    assert records.receipts.verify().count == 48
    assert records.receipts.verify().fault is None


class Counted:
    """How many pictures are between their loading and their delivery."""

    def __init__(self, slow: float) -> None:
        self._lock = threading.Lock()
        self._slow = slow
        self.inside = self.most = 0

    def input(self, index: int) -> Input:
        def load() -> Tensor:
            with self._lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            return torch.rand(8, 8, 3)

        return Input(index, f"picture {index}", load)

    def deliver(self, result: Done | Failed) -> int:
        time.sleep(self._slow)
        with self._lock:
            self.inside -= 1
        return result.index


def test_a_fast_model_waits_for_slow_workers(records: Records) -> None:
    counted = Counted(0.01)
    window = FAKE_LOCAL.window
    found = list(
        remove(
            map(counted.input, range(60)),
            FakeLocal(),
            Finishing(),
            counted.deliver,
            workers=2,
            records=records,
        )
    )
    assert sorted(found) == list(range(60))
    # Loaded ahead, in the model, in work or waiting for it.
    assert counted.most <= window + window + 2 * 2 + 1


def test_the_model_does_not_wait_for_loading_and_delivery(records: Records) -> None:
    def load() -> Tensor:
        time.sleep(0.05)
        return torch.rand(8, 8, 3)

    def deliver(result: Done | Failed) -> int:
        time.sleep(0.05)
        return result.index

    inputs = [Input(index, str(index), load) for index in range(16)]
    started = time.monotonic()
    list(remove(inputs, FakeLocal(seconds=0.1), Finishing(), deliver, workers=4, records=records))
    # One after the other it would be 3.2 s; the model alone takes 1.6.
    assert time.monotonic() - started < 2.6


def test_closing_early_leaves_no_thread(records: Records) -> None:
    before = threading.active_count()
    results = remove(
        map(picture, range(1000)), FakeLocal(), Finishing(), as_it_is, workers=3, records=records
    )
    next(results)
    cast("Generator[object, None, None]", results).close()
    assert threading.active_count() == before


def test_threads_compute_as_before_afterwards(records: Records) -> None:
    before = torch.get_num_threads()
    list(remove([picture(0)], FakeLocal(), Finishing(), as_it_is, workers=2, records=records))
    assert torch.get_num_threads() == before
    seen: list[int] = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [before]


def test_cancel_in_a_worker_ends_the_run(records: Records) -> None:
    class Stop(Job):
        def check(self) -> None:
            if threading.current_thread() is not threading.main_thread():
                raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        list(
            remove(
                [picture(0), picture(1)],
                FakeLocal(),
                Finishing(),
                as_it_is,
                workers=2,
                records=records,
                job=Stop(),
            )
        )


def test_what_was_paid_for_is_delivered_before_a_refusal(records: Records) -> None:
    provider = FakeProvider()
    results = remove(
        iter([picture(index) for index in range(6)]),
        FakeHosted(provider),
        Finishing(),
        as_it_is,
        workers=2,
        records=records,
        max_cost=Decimal("0.054"),
    )
    delivered: list[Done | Failed] = []
    with pytest.raises(OverBudget):
        delivered.extend(results)
    assert len(provider.billed) == 3
    assert len([one for one in delivered if isinstance(one, Done)]) == 3
    assert records.journal.pending() == []


def test_an_error_of_ours_is_raised_not_swallowed(records: Records) -> None:
    def deliver(result: Done | Failed) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(remove([picture(0)], FakeLocal(), Finishing(), deliver, workers=2, records=records))


def test_items_keep_their_order_and_are_pulled_within_reach() -> None:
    pulled: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            pulled.append(number)
            yield number

    executor = ThreadedExecutor(2, reach=3)
    try:
        ahead = executor.ahead(items(), lambda number: number * 2)
        for number, (item, ready) in enumerate(ahead):
            assert (item, ready()) == (number, number * 2)
            assert len(pulled) <= number + 1 + 3
    finally:
        executor.close()
