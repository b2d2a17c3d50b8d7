"""The providers' own SDKs behind wire.Provider, for `client="official"`.

The SDK builds the requests and reads the answers; `bridge.py` carries them, so that a picture is
sent once and the key goes to the provider alone. Where an SDK stumbles (a status code, a state that
it does not know, HTML), this package's own words judge the same answer, so that both clients fail
in the same way. Cancel is always in our own words: fal-client does not tell "it never will begin"
from "it will be tried", and replicate cannot read `aborted`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from ....config.hosted import hosting_of
from ....core.specs import BackendSpec, OptionValue
from ....core.types import Ticket
from ..http.wire import Provider, Ready, Wire, Working
from ..job_ids import urls_of_input
from . import fal, replicate
from .fal import RESULT_LIFE, UPLOAD_LIFE, Fal, life
from .replicate import Replicate
from .sdk import InThread, Official, Unread, load_sdk, text_of

if TYPE_CHECKING:
    import fal_client
    from replicate.client import Client

    from .bridge import Bridge


class OfficialFal(Official["fal_client.SyncClient"]):
    """fal-client (1.0.3 was read)."""

    def __init__(
        self,
        spec: BackendSpec,
        bases: Mapping[str, str],
        options: Mapping[str, OptionValue],
        key: str,
        in_thread: InThread,
    ) -> None:
        constants = load_sdk("fal_client.client", "fal")
        self._words = Fal(spec, bases, options)
        self._key = key
        super().__init__(
            self._words, spec, bases, in_thread, constants.FalClientError, fal.check_job
        )
        # The SDK reads its hosts from variables of its own, and always adds https.
        self._replaced = {
            constants.QUEUE_URL_FORMAT: f"{bases['queue']}/",
            f"{constants.REST_URL}/": f"{bases['rest']}/",
        }

    def _client(self, bridge: Bridge) -> fal_client.SyncClient:
        import fal_client
        import httpx

        client = fal_client.SyncClient(key=self._key)
        # The SDK takes no transport; the attribute is where it keeps its own httpx client.
        vars(client)["_client"] = httpx.Client(transport=bridge, trust_env=False)
        return client

    def _upload(self, client: fal_client.SyncClient, png: bytes) -> str:
        """The upload that needs no second token, as in our own words."""
        from fal_client.client import StorageSettings

        return client.upload(
            png,
            "image/png",
            "picture.png",
            repository="fal",
            fallback_repository=[],
            lifecycle=StorageSettings(expires_in=UPLOAD_LIFE),
        )

    def _send(self, client: fal_client.SyncClient, image: str) -> Ticket:
        endpoint = hosting_of(self._spec).endpoint
        arguments = {"image_url": image, **self._words.settings}
        handle = client.submit(endpoint, arguments, headers=life(RESULT_LIFE))
        urls = {
            "status": handle.status_url,
            "result": handle.response_url,
            "cancel": handle.cancel_url,
        }
        if not all(isinstance(text, str) for text in (handle.request_id, *urls.values())):
            raise Unread
        return Ticket(self._spec.id, handle.request_id, urls)

    def _ask(self, client: fal_client.SyncClient, wire: Wire, ticket: Ticket) -> Working | Ready:
        import fal_client

        request_id = quote(str(ticket.request_id), safe="")
        handle = replace(
            client.get_handle(hosting_of(self._spec).endpoint, request_id),
            status_url=self._words.url(wire, ticket, "status"),
            response_url=self._words.url(wire, ticket, "result"),
        )
        status = handle.status()
        if isinstance(status, fal_client.Queued):
            return Working(queued=True)
        if isinstance(status, fal_client.InProgress):
            return Working(queued=False)
        if not isinstance(status, fal_client.Completed) or status.error or status.error_type:
            raise Unread
        return Ready(text_of(handle.get()["image"]["url"]))


class OfficialReplicate(Official["Client"]):
    """replicate (1.0.7 was read)."""

    def __init__(
        self,
        spec: BackendSpec,
        bases: Mapping[str, str],
        options: Mapping[str, OptionValue],
        key: str,
        in_thread: InThread,
    ) -> None:
        error = load_sdk("replicate.exceptions", "replicate").ReplicateException
        own = Replicate(spec, bases, options)
        checks = replicate.check_job, replicate.check_accepted
        super().__init__(own, spec, bases, in_thread, error, *checks)
        self._key = key
        self._moderation = {"content_moderation": True} if options.get("content_moderation") else {}

    def _client(self, bridge: Bridge) -> Client:
        from replicate.client import Client

        return Client(
            api_token=self._key, base_url=self._bases["api"], transport=bridge, trust_env=False
        )

    def _upload(self, client: Client, png: bytes) -> str:
        file = client.files.create(
            io.BytesIO(png), filename="picture.png", content_type="image/png"
        )
        return text_of(file.urls["get"])

    def _send(self, client: Client, image: str) -> Ticket:
        """Without `wait`, so that the id comes at once."""
        prediction = client.predictions.create(
            model=hosting_of(self._spec).endpoint, input={"image": image, **self._moderation}
        )
        given = prediction.urls or {}
        urls = {"status": given["get"], "cancel": given["cancel"]}
        return Ticket(self._spec.id, prediction.id, {**urls, **urls_of_input(image)})

    def _ask(self, client: Client, wire: Wire, ticket: Ticket) -> Working | Ready:
        prediction = client.predictions.get(quote(str(ticket.request_id), safe=""))
        if prediction.status in ("starting", "processing"):
            return Working(queued=prediction.status == "starting")
        if prediction.status != "succeeded":
            raise Unread
        return Ready(text_of(prediction.output))


#: By provider, as `providers.PROVIDERS`; those that have an official client.
OFFICIAL: Mapping[
    str,
    Callable[[BackendSpec, Mapping[str, str], Mapping[str, OptionValue], str, InThread], Provider],
] = {"fal": OfficialFal, "replicate": OfficialReplicate}
