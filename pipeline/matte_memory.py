"""The last answers of a model on this machine, kept in memory for a run with other finishing.

Refining, decontamination and the background are computed from the model's answer, which takes most
of the time. Hosted answers are kept on disk (records/cache.py), because they were paid for.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from ..core.checks import all_finite
from ..core.types import Backend, Frame, Matte

NOTE = "the model's answer of an earlier run was used again"


class MatteMemory:
    """Mattes of one model, least recently used first out. Any thread may call it."""

    def __init__(self, most_bytes: int) -> None:
        """Keep nothing where most_bytes is 0."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._mattes: OrderedDict[str, Matte] = OrderedDict()
        self._lock = threading.Lock()

    def work(self, backend: Backend, frame: Frame) -> str | None:
        """Return the identity of an answer: the pixels, the model and its options.

        None where nothing is kept, and for what is not a model on this machine.
        """
        if not self._most_bytes or backend.spec.location != "local":
            return None
        options = sorted(getattr(backend, "options", {}).items())
        about = (backend.spec.id, backend.spec.weights_sha256, options, frame.pixels.shape)
        digest = hashlib.sha256(repr(about).encode())
        for given in (frame.pixels, frame.subject):
            if given is not None:
                digest.update(np.ascontiguousarray(given.cpu().numpy()).data)
        return digest.hexdigest()

    def get(self, work: str) -> Matte | None:
        """Return the kept answer with a note that says so; None where there is none."""
        with self._lock:
            matte = self._mattes.get(work)
            if matte is None:
                return None
            self._mattes.move_to_end(work)
        facts = replace(matte.facts, seconds=0.0, notes=(*matte.facts.notes, NOTE))
        return replace(matte, facts=facts)

    def put(self, work: str, matte: Matte) -> None:
        """Keep an answer, in the processor's memory, and let older ones go for it.

        An answer that went wrong is not kept: the model is asked again.
        """
        if not all_finite(matte.values):
            return
        kept = replace(matte, values=matte.values.detach().cpu())
        with self._lock:
            before = self._mattes.pop(work, None)
            self._bytes += _size(kept) - (_size(before) if before else 0)
            self._mattes[work] = kept
            while self._bytes > self._most_bytes:
                _, oldest = self._mattes.popitem(last=False)
                self._bytes -= _size(oldest)


def _size(matte: Matte) -> int:
    return matte.values.numel() * matte.values.element_size()
