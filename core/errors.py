"""The errors of this package, named by what the user can do about them.

    RmbgError
    |-- Refusal                   nothing was done; raised, ends the run
    |   |-- LicenceRefused        choose another backend, or name your agreement
    |   |-- Offline               turn RMBG_OFFLINE off, or use a backend on this machine
    |   |-- KeyMissing            set the key
    |   |-- AccountRefused        top up, or ask the provider to open the model to your account
    |   |-- OverBudget            raise the limit, or send fewer pictures
    |   |-- BackendUnknown        choose one of the listed ids
    |   |-- BackendMissing        this installation lacks a part that the backend needs
    |   |-- BadOption             a setting or argument has a value that cannot work
    |   |-- WeightsMissing        fetch the weights, or put the file where it is looked for
    |   `-- WeightsUnusable       get the weights again, or choose the model they belong to
    |-- Cancelled                 the user stopped the run
    `-- PictureError              one picture failed; the others go on
        |-- BadPicture            the picture itself cannot be used
        |-- NoPlainBackdrop       use a model
        |-- BackendFailed         the backend could not deliver this picture
        |-- ResultWaiting         it is paid for and can still be fetched: run again, or resume
        |-- UnusableResult        what the provider answered cannot be used; ask for it once more
        `-- MayBeBilled           the answer to a paid submit was lost; look before paying again

Every message is one sentence or two: what happened, then the next step. None ever contains a key.
`__module__` is pinned: inside ComfyUI the real module name is the path of the pack's folder, which
would appear in front of the error's name on the user's screen.
"""

from __future__ import annotations

from typing import ClassVar, Literal


class RmbgError(Exception):
    """Base of every error that this package raises on purpose."""

    __module__ = "rmbg_nodes"


class Refusal(RmbgError):
    """Nothing was done and nothing was spent; the run as a whole cannot go on."""

    __module__ = "rmbg_nodes"


class LicenceRefused(Refusal):
    """The model's licence does not allow the stated use."""

    __module__ = "rmbg_nodes"


class Offline(Refusal):
    """RMBG_OFFLINE is on and the request would leave the machine."""

    __module__ = "rmbg_nodes"


class KeyMissing(Refusal):
    """The provider needs a key and none was found, or it refused the one that was."""

    __module__ = "rmbg_nodes"


class AccountRefused(Refusal):
    """The provider knows the key and does not serve this account: no credit, or no such plan."""

    __module__ = "rmbg_nodes"


class OverBudget(Refusal):
    """The next picture would cost more than the user allowed."""

    __module__ = "rmbg_nodes"


class BackendUnknown(Refusal):
    """No backend has this id."""

    __module__ = "rmbg_nodes"


class BackendMissing(Refusal):
    """The backend is known, but this installation lacks something that it needs."""

    __module__ = "rmbg_nodes"


class BadOption(Refusal, ValueError):
    """A setting or an argument has a value that cannot work; the message names it."""

    __module__ = "rmbg_nodes"


class WeightsMissing(Refusal):
    """The weights were not found, or could not be fetched."""

    __module__ = "rmbg_nodes"


class WeightsUnusable(Refusal):
    """The weights are damaged, incomplete, or those of another network."""

    __module__ = "rmbg_nodes"


class Cancelled(RmbgError):
    """The user stopped the run. Paid work that is under way stays resumable."""

    __module__ = "rmbg_nodes"


class PictureError(RmbgError):
    """One picture failed. It travels inside a Failure and never ends the run of the others."""

    __module__ = "rmbg_nodes"
    paid: ClassVar[Literal["no", "fetchable", "perhaps"]] = "no"
    """What became of the money of a hosted picture. "no": nothing is owed, and the picture may be
    sent again. "fetchable": the work was paid for and its result can still be fetched by its id.
    "perhaps": it may have been billed, and nothing can be fetched."""


class BadPicture(PictureError, ValueError):
    """The picture cannot be used: damaged, empty, too large, or with values outside 0..1."""

    __module__ = "rmbg_nodes"


class NoPlainBackdrop(PictureError):
    """The keyer was given a picture whose backdrop is not plain."""

    __module__ = "rmbg_nodes"


class BackendFailed(PictureError):
    """The backend could not deliver this picture; trying it again costs nothing extra."""

    __module__ = "rmbg_nodes"


class ResultWaiting(PictureError):
    """The provider has the job and its id is kept: running again fetches it and pays nothing."""

    __module__ = "rmbg_nodes"
    paid = "fetchable"


class UnusableResult(PictureError):
    """The provider delivered something that is no mask of this picture. Its id is kept."""

    __module__ = "rmbg_nodes"
    paid = "fetchable"


class MayBeBilled(PictureError):
    """A paid submit was sent and its answer was lost, so it is not sent again by itself."""

    __module__ = "rmbg_nodes"
    paid = "perhaps"
