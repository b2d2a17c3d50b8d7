"""Answers to submits that were lost: what is said of them, and how one is asked for again later."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ....config.hosted import hosting_of
from ....core.errors import MayBeBilled, PictureError
from ....core.types import Failure, Ticket
from ..http.wire import AnswerLost, KeySpent, NotSent, SendState, Unreachable
from . import messages, repeats
from .run_context import HostedRequest, RunContext


def of_lost(context: RunContext, request: HostedRequest, lost: AnswerLost) -> Failure:
    """Return what became of a picture whose answer is not in."""
    spec = context.spec
    if hosting_of(spec).repeatable and not isinstance(lost, KeySpent):
        return Failure(messages.asked_later(request.name, spec, str(lost)))
    error = messages.lost_now(request.name, spec, str(lost), lost.request_id)
    return Failure(error, lost.request_id)


async def ask_again(
    context: RunContext, stop: asyncio.Event, request: HostedRequest, ticket: Ticket
) -> Ticket | Failure:
    """Ask for the answer that an earlier run lost; the ticket has the key for that. What it costs
    was set aside then."""
    if not repeats.is_same_account(context, ticket):
        return Failure(messages.other_account(request.name, context.spec))
    picture = await _picture_sent(context, request)
    if picture is None:
        return Failure(messages.picture_gone(request.name, context.spec))
    sent_to, departure = ticket.urls.get("submit", ""), SendState(home=context.home)
    try:
        found = await repeats.answered(
            context, stop, request.work, picture, departure, ticket.repeat_key, sent_to
        )
        answered = replace(found, sent=ticket.sent, created=ticket.created)
        await accepted(context, request.work, answered)
    except KeySpent as spent:
        lost = Ticket(context.spec.id, None, sent=ticket.sent)
        await context.pool.run(context.job.submitted, request.work, lost)
        return of_lost(context, request, spent)
    except (AnswerLost, NotSent) as lost_again:
        return Failure(messages.asked_later(request.name, context.spec, str(lost_again)))
    except PictureError as refused:
        return Failure(messages.about(request.name, refused))
    return answered


async def accepted(context: RunContext, work: str, ticket: Ticket) -> None:
    """Make the id durable. Raises AnswerLost for one that stands for another picture."""
    try:
        await context.pool.run(context.job.submitted, work, ticket)
    except MayBeBilled as foreign:
        raise KeySpent(str(foreign)) from None


async def _picture_sent(context: RunContext, request: HostedRequest) -> str | None:
    """Return what stood for the picture; made anew where it was not kept. Of a video that is the
    address of an upload, and another one is another request."""
    kept = await context.pool.run(context.job.picture_sent, request.work)
    if kept is not None or request.pack is None or context.spec.media == "video":
        return kept
    try:
        return await (await request.pack(context)).hand_over()
    except (PictureError, Unreachable):
        return None
