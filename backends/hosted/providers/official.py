"""The providers' own SDKs behind wire.Provider, for `client="official"`.

The SDK builds the requests and reads the answers; `bridge.py` carries them, so that a picture is
sent once and the key goes to the provider alone. Where an SDK stumbles (a status code, a state that
it does not know, HTML), this package's own words judge the same answer, so that both clients fail
in the same way. Cancel is always in our own words: fal-client does not tell "it never will begin"
from "somebody will try", and replicate cannot read `aborted`.
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
from .sdk import InThread, Official, Unread, load_sdk, text_of, transport_errors

if TYPE_CHECKING:
    import fal_client
    from replicate.client import Client

    from .bridge import Bridge


class OfficialFal(Official):
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
        errors = (constants.FalClientError, *transport_errors())
        self._words = Fal(spec, bases, options)
        super().__init__(self._words, bases, in_thread, errors)
        self._spec = spec
        self._key = key
        # The SDK reads its hosts from variables of its own, and always adds https.
        self._replaced = {
            constants.QUEUE_URL_FORMAT: f"{bases['queue']}/",
            f"{constants.REST_URL}/": f"{bases['rest']}/",
        }

    async def hand_over(self, wire: Wire, png: bytes) -> str:
        """See wire.Provider. The upload that needs no second token, as in our own words."""
        if len(png) <= hosting_of(self._spec).inline_bytes:
            return await self._own.hand_over(wire, png)

        def upload(bridge: Bridge) -> str:
            from fal_client.client import StorageSettings

            return self._client(bridge).upload(
                png,
                "image/png",
                "picture.png",
                repository="fal",
                fallback_repository=[],
                lifecycle=StorageSettings(expires_in=UPLOAD_LIFE),
            )

        return await self._through(
            wire, upload, lambda replay: self._own.hand_over(replay, png), self._replaced
        )

    async def submit(self, wire: Wire, image: str) -> Ticket:
        """See wire.Provider."""

        def send(bridge: Bridge) -> Ticket:
            endpoint = hosting_of(self._spec).endpoint
            handle = self._client(bridge).submit(
                endpoint, {"image_url": image}, headers=life(RESULT_LIFE)
            )
            urls = {
                "status": handle.status_url,
                "result": handle.response_url,
                "cancel": handle.cancel_url,
            }
            if not all(isinstance(text, str) for text in (handle.request_id, *urls.values())):
                raise Unread
            return Ticket(self._spec.id, handle.request_id, urls)

        return await self._through(
            wire, send, lambda replay: self._own.submit(replay, image), self._replaced, paid=True
        )

    async def poll(self, wire: Wire, ticket: Ticket) -> Working | Ready:
        """See wire.Provider."""

        def ask(bridge: Bridge) -> Working | Ready:
            import fal_client

            handle = self._handle(self._client(bridge), wire, ticket)
            status = handle.status()
            if isinstance(status, fal_client.Queued):
                return Working(queued=True)
            if isinstance(status, fal_client.InProgress):
                return Working(queued=False)
            if not isinstance(status, fal_client.Completed) or status.error or status.error_type:
                raise Unread
            return Ready(text_of(handle.get()["image"]["url"]))

        return await self._through(
            wire,
            ask,
            lambda replay: self._own.poll(replay, ticket),
            self._replaced,
            check=lambda _, answer: fal.check_job(ticket, answer),
        )

    def _client(self, bridge: Bridge) -> fal_client.SyncClient:
        import fal_client
        import httpx

        client = fal_client.SyncClient(key=self._key)
        # The SDK takes no transport; the attribute is where it keeps its own httpx client.
        vars(client)["_client"] = httpx.Client(transport=bridge, trust_env=False)
        return client

    def _handle(
        self, client: fal_client.SyncClient, wire: Wire, ticket: Ticket
    ) -> fal_client.SyncRequestHandle:
        request_id = quote(str(ticket.request_id), safe="")
        handle = client.get_handle(hosting_of(self._spec).endpoint, request_id)
        return replace(
            handle,
            status_url=self._words.url(wire, ticket, "status"),
            response_url=self._words.url(wire, ticket, "result"),
        )


class OfficialReplicate(Official):
    """replicate (1.0.7 was read)."""

    def __init__(
        self,
        spec: BackendSpec,
        bases: Mapping[str, str],
        options: Mapping[str, OptionValue],
        key: str,
        in_thread: InThread,
    ) -> None:
        errors = (
            load_sdk("replicate.exceptions", "replicate").ReplicateException,
            *transport_errors(),
        )
        super().__init__(Replicate(spec, bases, options), bases, in_thread, errors)
        self._spec = spec
        self._key = key
        self._moderation = {"content_moderation": True} if options.get("content_moderation") else {}

    async def hand_over(self, wire: Wire, png: bytes) -> str:
        """See wire.Provider."""
        if len(png) <= hosting_of(self._spec).inline_bytes:
            return await self._own.hand_over(wire, png)

        def upload(bridge: Bridge) -> str:
            file = self._client(bridge).files.create(
                io.BytesIO(png), filename="picture.png", content_type="image/png"
            )
            return text_of(file.urls["get"])

        return await self._through(
            wire, upload, lambda replay: self._own.hand_over(replay, png), {}
        )

    async def submit(self, wire: Wire, image: str) -> Ticket:
        """See wire.Provider. Without `wait`, so that the id comes at once."""

        def send(bridge: Bridge) -> Ticket:
            prediction = self._client(bridge).predictions.create(
                model=hosting_of(self._spec).endpoint, input={"image": image, **self._moderation}
            )
            given = prediction.urls or {}
            urls = {"status": given["get"], "cancel": given["cancel"]}
            return Ticket(self._spec.id, prediction.id, {**urls, **urls_of_input(image)})

        return await self._through(
            wire,
            send,
            lambda replay: self._own.submit(replay, image),
            {},
            paid=True,
            check=replicate.check_accepted,
        )

    async def poll(self, wire: Wire, ticket: Ticket) -> Working | Ready:
        """See wire.Provider."""

        def ask(bridge: Bridge) -> Working | Ready:
            request_id = quote(str(ticket.request_id), safe="")
            prediction = self._client(bridge).predictions.get(request_id)
            if prediction.status in ("starting", "processing"):
                return Working(queued=prediction.status == "starting")
            if prediction.status != "succeeded":
                raise Unread
            return Ready(text_of(prediction.output))

        return await self._through(
            wire,
            ask,
            lambda replay: self._own.poll(replay, ticket),
            {},
            check=lambda _, answer: replicate.check_job(ticket, answer),
        )

    def _client(self, bridge: Bridge) -> Client:
        from replicate.client import Client

        return Client(
            api_token=self._key, base_url=self._bases["api"], transport=bridge, trust_env=False
        )


#: By provider, as `providers.PROVIDERS`; those that have an official client.
OFFICIAL: Mapping[
    str,
    Callable[[BackendSpec, Mapping[str, str], Mapping[str, OptionValue], str, InThread], Provider],
] = {"fal": OfficialFal, "replicate": OfficialReplicate}
