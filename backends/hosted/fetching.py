"""Pictures fetched from the addresses that a user names: as hostile as those of results."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future

from ...catalogue.hosted_models import ROWS
from ...config.hosted import bases_of, hosting_of
from ...config.settings import Settings
from ...core.errors import Cancelled, Offline, PictureError
from .http.redact import Redactor
from .http.runtime import runtime
from .http.transport import Transport
from .http.wire import Unreachable

_MOST_BYTES = 256_000_000
_AGAIN_SECONDS = 60.0


class NotFetched(PictureError):
    """One picture could not be fetched; the next run tries it again."""

    __module__ = "rmbg_nodes"


class Fetcher:
    """Fetches by https and http; any thread may call it, and waits there.

    Public addresses only, wherever a redirect leads; a server that the user configured as a gateway
    is the one exception. No key is sent. Raises Offline where the settings forbid the network.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.offline:
            raise Offline(
                "RMBG_OFFLINE is on, so no address is fetched. Turn it off, or leave --fetch out "
                "and name files."
            )
        self._here = runtime()
        self._rate_limits = self._here.rate_limits(
            "addresses", in_flight=8, requests_a_minute=60_000, pictures=8
        )
        self._guard = threading.Lock()
        self._under_way: set[Future[bytes]] = set()
        self._stopped = False

    def __call__(self, name: str, url: str) -> bytes:
        """Return the bytes at this address. name: what messages call it.

        Raises NotFetched, Cancelled or Offline.
        """
        with self._guard:
            if self._stopped:
                raise Cancelled("The run was stopped.")
            future = self._here.start(self._transport(url).download(url, _MOST_BYTES))
            self._under_way.add(future)
        try:
            return future.result()
        except Unreachable as error:
            why = NotFetched(
                f"{name} was not fetched ({error}). Look at the address; the next run tries it "
                "again."
            )
            raise why from None  # nothing that holds the address is chained to it
        except CancelledError:
            raise Cancelled("The run was stopped.") from None
        finally:
            future.cancel()
            with self._guard:
                self._under_way.discard(future)

    def go_on(self) -> None:
        """Begin anew after `stop`, for the next pass."""
        with self._guard:
            self._stopped = False

    def stop(self) -> None:
        """End what is under way, and begin nothing more."""
        with self._guard:
            self._stopped = True
            under_way = [*self._under_way]
        for future in under_way:
            future.cancel()

    def _transport(self, url: str) -> Transport:
        """Make the way to this address. A redirect may lead from http to https, never back."""
        bases: dict[str, str] = {}
        official: dict[str, str] = {}
        for spec in ROWS:
            configured = bases_of(spec)
            for role, (variable, documented) in hosting_of(spec).bases.items():
                bases[variable], official[variable] = configured[role], documented
        return Transport(
            self._here,
            self._rate_limits,
            bases,
            official,
            {},
            Redactor(()),
            again_seconds=_AGAIN_SECONDS,
            plain_http=url[:5].lower() == "http:",
        )
