"""What went wrong with one paid picture, in the user's words: what happened, what it costs, what to
do next."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ....config.hosted import hosting_of
from ....config.invocation import command
from ....core.errors import BackendFailed, MayBeBilled, PictureError, ResultWaiting, UnusableResult
from ....core.specs import BackendSpec
from ....core.types import Clip, Failure, Matte, Ticket


def about(name: str, error: PictureError) -> PictureError:
    """Return the same error, with the picture's name in front."""
    text = str(error)
    return error if text.startswith(name) else type(error)(f"{name}: {text}")


def second_copy(name: str, result: Matte | Clip | Failure) -> Matte | Clip | Failure:
    """Return the result of the first of two equal pictures for the second, which costs nothing."""
    error: PictureError | None = getattr(result, "error", None)
    if error is not None:
        return Failure(type(error)(f"{name}: it equals another picture that failed. {error}"))
    note = "the same picture as another one of this run, and paid once"
    matte: Matte = result  # type: ignore[assignment]  # by what it has, not by class
    facts = replace(matte.facts, cost=Decimal(0), notes=(*matte.facts.notes, note))
    return replace(matte, facts=facts)


def not_sent(name: str, spec: BackendSpec, error: Exception) -> PictureError:
    """Nothing has been accepted, so nothing is owed."""
    if isinstance(error, PictureError):
        return about(name, error)
    return BackendFailed(
        f"{name} was not sent to {spec.provider}: {error}. Nothing was billed; run it again."
    )


def not_tried(name: str, spec: BackendSpec) -> PictureError:
    """Several answers in a row were lost, so the provider gets no more work for now."""
    return BackendFailed(
        f"{name} was not sent: {spec.provider} lost the answers to several {spec.media}s before "
        "it. Nothing was billed for this one; run it again when the provider is well."
    )


def lost_now(name: str, spec: BackendSpec, reason: str, request_id: str | None) -> PictureError:
    """The submit's answer was lost a moment ago."""
    if request_id:
        return ResultWaiting(
            f"{name} was sent to {spec.provider} and something went wrong ({reason}). It may have "
            f"been billed as request {request_id}, which was kept: {fetch_later()}"
        )
    return MayBeBilled(
        f"{name} was sent to {spec.provider} and the answer was lost ({reason}), so it may have "
        f"been billed. {_look_first(spec)}"
    )


def asked_later(name: str, spec: BackendSpec, reason: str) -> PictureError:
    """The submit's answer was lost, and can be asked for again."""
    return ResultWaiting(
        f"{name} was sent to {spec.provider} and the answer is not in ({reason}). It was sent with "
        f"a key by which {spec.provider} gives the same answer again for about a day: run it "
        f"again, or `{command('resume')}`; it is not paid twice."
    )


def other_account(name: str, spec: BackendSpec) -> PictureError:
    """The answer can be asked for, but only by the account that sent the picture."""
    return ResultWaiting(
        f"{name} was sent to {spec.provider} with another key and the answer was lost. It was not "
        "sent again: with the key of now it could be paid twice. Set the key of then, and run it "
        f"again or `{command('resume')}`."
    )


def picture_gone(name: str, spec: BackendSpec) -> PictureError:
    """The answer can be asked for, but not without what was sent."""
    return ResultWaiting(
        f"{name} was sent to {spec.provider} and the answer was lost. What was sent is not kept "
        f"here any more: run the {spec.media} itself again, which asks for the same answer and "
        "does not pay twice."
    )


def disputed(name: str, spec: BackendSpec, ticket: Ticket) -> PictureError:
    """Two submits at a time got one id, so that its result may be the other picture's."""
    return MayBeBilled(
        f"{name}: {spec.provider} answered with request {ticket.request_id} for another picture "
        f"too, so its result may be of either and is not used. {_look_first(spec)}"
    )


def lost_earlier(name: str, spec: BackendSpec) -> PictureError:
    """An earlier run lost the submit's answer."""
    return MayBeBilled(
        f"{name} was sent to {spec.provider} earlier and the answer was lost, so it may have been "
        f"billed. It was not sent again. {_look_first(spec)}"
    )


def gone(name: str, spec: BackendSpec, ticket: Ticket) -> PictureError:
    """The provider does not know the id (any more)."""
    return UnusableResult(
        f"{name}: {spec.provider} does not know request {ticket.request_id} any more"
        f"{_known_as_lost(spec)}"
    )


def expired(name: str, spec: BackendSpec, ticket: Ticket) -> PictureError:
    """The result was deleted before it was fetched."""
    return UnusableResult(
        f"{name}: the result of request {ticket.request_id} has expired at {spec.provider}"
        f"{_known_as_lost(spec)}"
    )


def refused_link(name: str, spec: BackendSpec, ticket: Ticket) -> PictureError:
    """The address of the result is refused, and a new one for it too."""
    return UnusableResult(
        f"{name}: the link to the result of request {ticket.request_id} has expired at "
        f"{spec.provider}. The request was kept: {fetch_later()} If that does not help: "
        f"{_look_first(spec)}"
    )


def missing(name: str, spec: BackendSpec, ticket: Ticket, reason: str) -> PictureError:
    """The provider should still have it, and does not give it."""
    return ResultWaiting(
        f"{name}: the result of request {ticket.request_id} is not there yet ({reason}). "
        f"{spec.provider} keeps results for {_hours(spec)}: {fetch_later()} If it never comes: "
        f"{_look_first(spec)}"
    )


def unusable(name: str, ticket: Ticket, error: PictureError) -> PictureError:
    """The result came and is no mask of this picture."""
    if not isinstance(error, UnusableResult):
        return about(name, error)
    return UnusableResult(
        f"{name}: {error} Request {ticket.request_id} was kept: running again asks for it once "
        "more and pays nothing; resubmit pays for a new one."
    )


def unfinished(name: str, ticket: Ticket, reason: str) -> PictureError:
    """The job has an id and no result yet."""
    return ResultWaiting(f"{name}: {reason}. Request {ticket.request_id} was kept: {fetch_later()}")


def fetch_later() -> str:
    """Say what to do about a job that has an id."""
    return f"run it again, or `{command('resume')}`; it is not paid again."


def _known_as_lost(spec: BackendSpec) -> str:
    return (
        f"; it keeps results for {_hours(spec)}. Running it again asks once more and pays nothing. "
        f"{_look_first(spec)}"
    )


def _hours(spec: BackendSpec) -> str:
    hours = hosting_of(spec).retention.hours
    return f"{hours} hours" if hours > 1 else "1 hour"


def _look_first(spec: BackendSpec) -> str:
    return (
        f"Look at your jobs ({hosting_of(spec).jobs_page}), then run it with resubmit (a switch of "
        "the backend; --resubmit on the command line) if you want to pay for it again."
    )
