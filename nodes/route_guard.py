"""Who may ask our routes: this ComfyUI's own page, in JSON; and who may change something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..config.hosted import is_loopback
from ..config.settings import REMOTE_VARIABLE

#: Far more than any request of our page.
MOST_BYTES = 65_536


@dataclass(frozen=True)
class Refused:
    """Why a request is not answered."""

    status: int
    """Of HTTP."""
    words: str
    """For people."""


def check_request(headers: Mapping[str, str], length: int | None) -> Refused | None:
    """Refuse what another site's page could send. headers: by names in any case. length: of the
    body in bytes, None where it was not announced.

    ComfyUI itself refuses foreign pages only while it is asked for as localhost, and a form of any
    site can send what is not JSON.
    """
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        return Refused(415, "Only JSON is taken here.")
    if length is None or length > MOST_BYTES:
        return Refused(413, "That is more than this takes.")
    site = headers.get("Sec-Fetch-Site", "")
    origin = headers.get("Origin", "")
    foreign = site not in ("", "same-origin") or (origin and not _is_own(origin, headers))
    if foreign or not (site or origin):
        return Refused(403, "Only the page of this ComfyUI may ask this.")
    return None


def check_change(
    headers: Mapping[str, str], listening: Sequence[str], *, allowed: bool
) -> Refused | None:
    """Refuse to change something for whoever may be on another machine.

    listening: the addresses that ComfyUI listens at. allowed: the user's setting. The name that it
    is asked for counts, too: a proxy passes its own on, and a foreign name may be made to lead to
    this machine.
    """
    named = urlsplit(f"//{headers.get('Host', '')}").hostname or ""
    if allowed or all(map(is_loopback, (named, *listening))):
        return None
    return Refused(
        403,
        "This ComfyUI can be reached from other machines, so weights and keys are not changed over "
        f"the network. Set {REMOTE_VARIABLE}=1 where it runs if everybody who reaches it may, or "
        "use the commands `rmbg weights get` and `rmbg keys set` there.",
    )


def _is_own(origin: str, headers: Mapping[str, str]) -> bool:
    return urlsplit(origin).netloc.lower() == headers.get("Host", "").lower()
