"""Fetching a released file from the Hugging Face Hub: the only local file that may open a socket,
and only when the user has asked for it.

Its own client does the talking (tokens, mirrors, proxies, retries). What it lacks is done here: a
broken download goes on where it stopped, and the sha256 of our table decides.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from ...catalogue.licences import LICENCES
from ...config.keys import HUB, look_for_key
from ...config.private_files import make_private
from ...core.errors import (
    BackendMissing,
    KeyMissing,
    LicenceRefused,
    Offline,
    WeightsMissing,
    WeightsUnusable,
)
from ...records.locks import exclusive
from .find import fetch_line
from .released import Released
from .verify import digest, sha256_of

_LIBRARY = "rmbg-nodes"
_LOCK = "download-{}.lock"
_SHA256_DIGITS = 64
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK = (*_FULL, errno.EIO)

# What an HTTP status of the Hub means for the user, and whether it is about the token.
_STATUS: Mapping[int, tuple[bool, str]] = {
    401: (
        True,
        "asks who you are: accept the terms on {page}, make a token with read access on "
        "https://huggingface.co/settings/tokens, and set HF_TOKEN to it",
    ),
    403: (
        True,
        "does not let this account have it: accept the terms on {page} with the account of your "
        "HF_TOKEN, and give a fine-grained token access to gated repositories",
    ),
    404: (False, "has no such file (any more): look at {page}"),
    429: (False, "asks to wait: try again in some minutes, or set HF_TOKEN"),
}
_BROKEN = "has a problem of its own: try again later"


def fetch(
    row: Released,
    folder: Path,
    data_folder: Path,
    *,
    accepted: bool,
    offline: bool,
    endpoint: str | None = None,
    free_space: Callable[[Path], int] | None = None,
    check: Callable[[], None] | None = None,
    arrived: Callable[[int], None] | None = None,
) -> Path:
    """Download a released file to `folder`/NAME/FILE, verify it, and return its path.

    accepted: the user has accepted the row's licence. offline: RMBG_OFFLINE is on. endpoint: a
    mirror of the Hub; HF_ENDPOINT by default. free_space: bytes free in a folder. check: called
    with each piece that arrives; raises Cancelled to stop. A stopped download is gone on with.
    arrived: told how many bytes of the file are here, at the beginning and with each piece.

    Raises LicenceRefused, Offline or BackendMissing before a socket is opened; KeyMissing when the
    Hub wants a token or acceptance, WeightsMissing when the file cannot be had, WeightsUnusable
    when it is not the one in our table.
    """
    if not accepted:
        raise LicenceRefused(licence_question(row))
    target = target_of(row, folder)
    if target.exists():
        if sha256_of(target, data_folder) == row.sha256:
            return target
        raise WeightsUnusable(
            f"{target} is there already and is not the released file. Move it away first."
        )
    if offline:
        raise Offline(
            f"Fetching {row.name} needs the network, and RMBG_OFFLINE keeps this machine offline. "
            f"{_by_hand(row, folder)}"
        )
    part = target.with_name(f"{row.file_name}.{row.sha256[:12]}.part")
    try:
        make_private(data_folder)  # its other files are the user's own
        target.parent.mkdir(parents=True, exist_ok=True)
        if _size(part) > row.size:
            part.unlink()
        missing = row.size - _size(part)
        room = (free_space or _free_space)(target.parent)
        if missing > room:
            raise WeightsMissing(
                f"{row.name} needs {missing / 1e6:,.0f} MB more in {folder}, and "
                f"{room / 1e6:,.0f} MB are free. Free some disk space, or name another folder "
                "with --to."
            )
        with exclusive(data_folder / _LOCK.format(row.sha256[:12]), patience=0):
            if missing:
                _download(row, part, folder, endpoint, check, arrived)
            if digest(part) != row.sha256:
                part.unlink()
                raise WeightsUnusable(
                    f"What arrived is not the released {row.file} of {row.name} (another sha256), "
                    "and was deleted. Try again; if it stays so, "
                    f"{_by_hand(row, folder, start='g')}"
                )
            os.replace(part, target)
    except TimeoutError as error:
        raise WeightsMissing(
            f"{row.name} is being downloaded by another program at this moment. Wait until it is "
            "done, then try again."
        ) from error
    except OSError as error:
        raise WeightsMissing(_not_written(row, folder, error)) from error
    sha256_of(target, data_folder)  # remembered, so that the first picture need not wait
    return target


def target_of(row: Released, folder: Path) -> Path:
    """Where a file that is fetched into a model folder lies."""
    return folder / row.name / row.file_name


def licence_question(row: Released) -> str:
    """Return what the user has to accept, and how."""
    licence = LICENCES[row.licence]
    use = {
        "yes": "",
        "unknown": " It counts as non-commercial.",
    }.get(licence.commercial, " It is for non-commercial use only.")
    return (
        f"The weights of {row.name} are {licence.holder}'s under the licence {licence.name} "
        f"({licence.licence_page}).{use} If you accept it: `{fetch_line(row)}`."
    )


class _Watched(io.BufferedRandom):
    """The partial file, open at its end; every piece that arrives can stop the download."""

    def __init__(
        self,
        path: Path,
        check: Callable[[], None] | None,
        arrived: Callable[[int], None] | None,
    ) -> None:
        super().__init__(io.FileIO(path, "a+"))
        self._here = self.seek(0, os.SEEK_END)
        self._check = check
        self._arrived = arrived
        self._tell()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self._check is not None:
            self._check()
        written = super().write(data)
        self._here += written
        self._tell()
        return written

    def _tell(self) -> None:
        if self._arrived is not None:
            self._arrived(self._here)


def _download(
    row: Released,
    part: Path,
    folder: Path,
    endpoint: str | None,
    check: Callable[[], None] | None,
    arrived: Callable[[int], None] | None,
) -> None:
    """Bring the partial file to the row's size, from where it ends now."""
    try:
        from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
        from huggingface_hub.constants import HF_HUB_OFFLINE
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.file_download import http_get
    except ImportError as error:
        raise BackendMissing(
            "Fetching needs the package huggingface_hub: `pip install huggingface_hub`. "
            f"{_by_hand(row, folder, start='Or g')}"
        ) from error
    if HF_HUB_OFFLINE:
        raise Offline(
            "HF_HUB_OFFLINE keeps the Hub's client offline. Unset it, or "
            f"{_by_hand(row, folder, start='g')}"
        )
    token = _token() or get_token()
    if token is not None and not token.isascii():
        raise KeyMissing("The Hub's token has a character that no token has. Copy it again.")
    bearer = {"authorization": f"Bearer {token}"} if token else {}
    url = hf_hub_url(row.repo, row.file, revision=row.revision, endpoint=endpoint)
    # The client has changed its HTTP library twice; its own error always derives from that
    # library's, and connections that fail raise only that.
    unreached: tuple[type[BaseException], ...] = (HfHubHTTPError.__bases__[0], OSError)
    while True:
        before = _size(part)
        try:
            metadata = get_hf_file_metadata(url, token=token or False, library_name=_LIBRARY)
            _check_promise(row, metadata.size, metadata.etag, folder)
            with _Watched(part, check, arrived) as file:
                http_get(
                    url,
                    file,
                    resume_size=file.tell(),
                    headers={"accept-encoding": "identity"} | bearer,
                    expected_size=row.size,
                    displayed_filename=f"{row.name} {row.file}",
                )
            return
        except HfHubHTTPError as error:
            raise _refused(row, folder, error.response.status_code) from error
        except unreached as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                raise
            if _size(part) > before:
                continue  # older clients (1.0) give up at once, though every attempt brings more
            raise WeightsMissing(
                "The Hugging Face Hub could not be reached, or the connection broke "
                f"({type(error).__name__}). What has arrived is kept: check the network or the "
                "proxy and run the same command again, or "
                f"{_by_hand(row, folder, start='g')}"
            ) from error


def _token() -> str | None:
    """The token in the environment, else that of the user's key file. What the Hub's own client
    keeps comes after it: a token that was given here was given on purpose."""
    key = look_for_key(HUB, "")
    return None if key is None else key.reveal()


def _check_promise(row: Released, size: int | None, etag: str | None, folder: Path) -> None:
    """Refuse another file before 900 MB of it have come. The Hub's etag of a large file is its
    sha256; a mirror may send something else or nothing."""
    is_hash = etag is not None and len(etag) == _SHA256_DIGITS
    if (size is not None and size != row.size) or (is_hash and etag != row.sha256):
        raise WeightsUnusable(
            f"The Hub's {row.file} of {row.name} is not the one that this version knows; nothing "
            f"was downloaded. Update rmbg-nodes, or {_by_hand(row, folder, start='g')}"
        )


def _refused(row: Released, folder: Path, status: int) -> KeyMissing | WeightsMissing:
    about_token, meaning = _STATUS.get(status, (False, _BROKEN))
    kind = KeyMissing if about_token else WeightsMissing
    return kind(
        f"The Hugging Face Hub {meaning.format(page=row.page)} (status {status}, {row.repo}). "
        f"{_by_hand(row, folder, start='Or g')}"
    )


def _by_hand(row: Released, folder: Path, start: str = "G") -> str:
    return f"{start}et {row.file} from {row.page} in a browser and put it into {folder / row.name}."


def _not_written(row: Released, folder: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"The disk of {folder} is full. What has arrived is kept: free some space ({row.name} "
            f"has {row.size / 1e6:,.0f} MB) and run the same command again, or name another folder "
            "with --to."
        )
    return f"{folder} cannot be written to ({error.strerror}). Name another folder with --to."


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _free_space(folder: Path) -> int:
    return shutil.disk_usage(folder).free
