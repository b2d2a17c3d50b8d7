"""Submits that are repeated with their idempotency key until their answer is in.

Of one picture that is at most one job at the host, whatever is lost on the way and whoever asks
again: this run, a later one, or `rmbg resume`. Everything that it takes is durable before the first
byte leaves (`core.types.Repeat`); the row of the model says whether the host takes keys.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from ....config.hosted import hosting_of
from ....core.repeat import Repeat
from ....core.types import Ticket
from ..http.stoppable_submit import CancellableSubmit, KeyedSubmit
from ..http.wire import AnswerLost, KeySpent, SendState
from .run_context import RunContext

# The host's day must not end between our last look at the clock and its own: a submit is tried for
# ten minutes, and may be held for ten more.
_MARGIN = timedelta(minutes=30)
# Seconds before the second and each later try of a submit whose answer says too little; they follow
# the transport's own repetitions, and only when those were quick.
_PAUSES = (0.5, 2.0, 4.0)
_QUICK = 30.0


def new_repeat(context: RunContext, picture: str) -> Repeat | None:
    """Return by what the submit of this picture will be repeatable; None where the host takes no
    keys. picture: what stands for it in the request."""
    repeatable = hosting_of(context.spec).repeatable
    if repeatable is None:
        return None
    key = str(uuid.uuid4())
    until = datetime.now(timezone.utc) + timedelta(hours=repeatable.hours) - _MARGIN
    return Repeat(key, until.isoformat(timespec="seconds"), context.mark(key), picture)


def is_same_account(context: RunContext, ticket: Ticket) -> bool:
    """Say whether a submit can be repeated with the key to the host that is in use now: with that
    of another account it would be another job."""
    return ticket.urls.get("account") == context.mark(ticket.repeat_key)


async def answered(
    context: RunContext,
    stop: asyncio.Event,
    work: str,
    picture: str,
    departure: SendState,
    key: str = "",
    sent_to: str = "",
) -> Ticket:
    """Submit, and with a key ask again a few times for an answer that was lost.

    departure: learns when bytes may have left. sent_to: where an earlier run sent it. Raises what
    `Provider.submit` raises.
    """
    repeatable = hosting_of(context.spec).repeatable
    if repeatable is None or not key:
        wire = CancellableSubmit(context.transport, stop, departure)
        return await context.provider.submit(wire, picture)
    clock = asyncio.get_running_loop().time
    began = clock()
    address = sent_to

    async def note(url: str) -> None:
        nonlocal address
        if url != address:
            await context.pool.run(context.job.addressed, work, url)
        address = url

    keyed = KeyedSubmit(repeatable.header, key, sent_to, note)
    for pause in (*_PAUSES, None):
        try:
            wire = CancellableSubmit(context.transport, stop, departure, keyed)
            return await context.provider.submit(wire, picture)
        except KeySpent:
            raise
        except AnswerLost:
            if pause is None or stop.is_set() or clock() - began > _QUICK:
                raise
        await asyncio.sleep(pause)
        keyed = replace(keyed, sent_to=address)
    raise AssertionError("the last try returns or raises")
