"""Downloads of weights that the page or a run begins: one for each file, shared by both."""

from __future__ import annotations

from collections.abc import Mapping

from ..backends.local.downloads import Downloads
from ..backends.local.released import rows_of
from ..core.errors import Cancelled
from ..core.specs import OptionValue
from ..core.types import Usage
from .backend_choice import ready_here
from .comfy_host import ComfyHost, comfy_job

DOWNLOADS = Downloads()
_PAUSE = 0.1  # seconds


def fetch_first(values: Mapping[str, OptionValue | None], usage: Usage | None) -> None:
    """Download what a run lacks when its option `download` is on, or wait for the download that is
    under way.

    ComfyUI's Cancel ends it like any other run; what has arrived is kept. Raises Cancelled and what
    `fetch` raises.
    """
    wanted = ready_here(values, usage)
    if wanted.blocked or wanted.weights is None:
        return
    row = rows_of(wanted.weights.model)[0]
    host = ComfyHost()
    with comfy_job(row.size) as job:
        download = DOWNLOADS.start(row, host.model_folders()[0], host.data_folder())
        told = 0
        try:
            while not download.wait(_PAUSE):
                job.check()
                arrived = download.progress.arrived
                job.step(arrived - told)
                told = arrived
        except Cancelled:
            download.stop()
            raise
        download.check_end()
