"""The items of a batch as what the pipeline takes, each loaded when its turn comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import overload

from torch import Tensor

from ...pipeline.inputs import Input, Loaded
from .items import Item


class Inputs(Sequence[Input]):
    """The inputs of a run, made as they are asked for."""

    def __init__(self, items: Sequence[Item], load: Callable[[int, Item], Tensor | Loaded]) -> None:
        self._items = items
        self._load = load
        """Makes the pixels of an item; it is told the item's number, too."""

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Input: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Input]: ...
    def __getitem__(self, index: int | slice) -> Input | Sequence[Input]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self._input(index, self._items[index])

    def __iter__(self) -> Iterator[Input]:
        return (self._input(index, item) for index, item in enumerate(self._items))

    def _input(self, index: int, item: Item) -> Input:
        return Input(index, item.key, partial(self._load, index, item))
