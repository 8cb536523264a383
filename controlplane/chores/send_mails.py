"""Sends what waits to be sent. No transaction is open while a mail server is talked to."""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, TypeAlias

import structlog

from controlplane.db.database import Database, PlatformTx, TenantTx
from controlplane.domain import mails, recovery
from controlplane.domain.letters import Letter, Letterhead
from controlplane.domain.mails import Claimed
from controlplane.kit.mailing import Message, NotSent, Post, Undeliverable

Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[TenantTx | PlatformTx]]

log = structlog.get_logger("controlplane.chores")

MOST_ROUNDS: Final = 50
"""For one owner in one go: whoever writes very many letters does not hold up the others'."""


async def send_mails(db: Database, post: Post, letterhead: Letterhead) -> int:
    """Send every letter that is due and return how many were. Looks across tenants, works inside one at a time.

    A letter is sent once; where a process dies between sending and writing that down, once more, under the same id.
    """
    await _answer(db, letterhead)
    async with db.operator() as across:
        owners = await mails.tenants_with_due(across)
    places: list[Opened] = [db.platform, *(partial(db.tenant, tenant_id) for tenant_id in owners)]
    return sum([await _send_all(opened, post) for opened in places])


async def _answer(db: Database, letterhead: Letterhead) -> None:
    """Write the letters that people who lost their password asked for."""
    async with db.platform() as tx:
        await recovery.answer(tx, letterhead)


async def _send_all(opened: Opened, post: Post) -> int:
    done = 0
    for _ in range(MOST_ROUNDS):
        async with opened() as tx:
            claimed = await mails.claim(tx)
        for mail in claimed:
            done += await _send(opened, post, mail)
        if len(claimed) < mails.AT_ONCE:
            break
    if done:
        async with opened() as tx:
            await mails.forget_old(tx)
    return done


async def _send(opened: Opened, post: Post, mail: Claimed) -> int:
    problem, for_ever = "", False
    try:
        if mail.letter is None:
            raise Undeliverable("what it said cannot be read any more")
        await post.send(_message(mail, mail.letter))
    except NotSent as error:
        problem = str(error)
    except Undeliverable as error:
        problem, for_ever = str(error), True
    async with opened() as tx:
        if problem:
            roll = random.random()  # noqa: S311 spread, not secrecy
            await mails.not_sent(tx, mail, problem, roll=roll, for_ever=for_ever)
            log.warning("mail.not-sent", mail=mails.public_id(mail), kind=mail.kind, problem=problem)
        else:
            await mails.sent(tx, mail.id)
    return int(not problem)


def _message(mail: Claimed, letter: Letter) -> Message:
    return Message(
        id=mails.public_id(mail),
        to=letter.to,
        subject=letter.subject,
        text=letter.text(),
        html=letter.html(),
        written_at=mail.created_at,
    )
