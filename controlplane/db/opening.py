"""How connections are lent and transactions begin and end: with one word to the database each, whatever it has to say."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from asyncpg import InternalClientError
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

Answer = TypeVar("Answer")

ENDED: Final = "the database ended the connection"


class RolledBack(RuntimeError):
    """The database undid what was to be committed: a statement had failed, and somebody went on nevertheless."""


class LeftOpen(AssertionError):
    """A connection came back in the middle of a transaction: a bug. It is thrown away."""


def engine_of(url: str, **options: Any) -> AsyncEngine:
    """An engine that begins nothing by itself: transactions are :func:`begun`.

    A connection that ended while it lay idle is noticed when it is lent out, and another one lent instead. One that
    comes back in a transaction is not lent out again: the next tenant would be inside it.
    """
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", **options)
    event.listen(engine.sync_engine, "checkout", _is_alive)
    event.listen(engine.sync_engine, "checkin", _is_free)
    return engine


def _is_alive(connection: Any, *_: object) -> None:
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


def _is_free(connection: Any, record: Any) -> None:
    if connection is not None and connection.driver_connection.is_in_transaction():
        record.invalidate(LeftOpen())


@asynccontextmanager
async def begun(engine: AsyncEngine, words: str) -> AsyncIterator[AsyncConnection]:
    """A transaction, committed at the end, and undone if anything is raised.

    Args:
        words: What it begins with, ``BEGIN`` first; several statements, with nothing in them that came from outside.

    Raises:
        ConnectionError: If the database ended the connection.
        RolledBack: If there was nothing to commit any more.
    """
    async with engine.connect() as connection:
        await asked(connection, lambda driver: driver.execute(words))
        try:
            yield connection
        except BaseException:
            with suppress(Exception):  # what ended it is what matters; and one in a transaction is not lent out again
                await _driver(connection).execute("ROLLBACK")
            raise
        if await asked(connection, lambda driver: driver.execute("COMMIT")) != "COMMIT":
            raise RolledBack


async def asked(connection: AsyncConnection, call: Callable[[Any], Awaitable[Answer]]) -> Answer:
    """What *call* gets from the driver itself: what SQLAlchemy does around a statement takes as long as the way there.

    A connection on which it fails is thrown away, because nobody else would notice that it is dead.

    Raises:
        ConnectionError: If the database ended the connection.
    """
    driver = _driver(connection)
    try:
        return await call(driver)
    except BaseException as error:
        ended = _has_ended(driver, error)
        await connection.invalidate()
        if ended:
            raise ConnectionError(ENDED) from error
        raise


async def asked_once(engine: AsyncEngine, call: Callable[[Any], Awaitable[Answer]]) -> Answer:
    """As :func:`asked`, on a connection that is lent for this alone: SQLAlchemy makes none of its own around it.

    Raises:
        ConnectionError: If the database ended the connection.
    """
    lent = await engine.raw_connection()
    driver = lent.driver_connection
    try:
        answer = await call(driver)
    except BaseException as error:
        ended = _has_ended(driver, error)
        lent.invalidate()
        if ended:
            raise ConnectionError(ENDED) from error
        raise
    await greenlet_spawn(lent.close)  # what is more than the pool keeps is closed, which awaits
    return answer


def _has_ended(driver: Any, error: BaseException) -> bool:
    """Whether *error* came of the database's having ended the connection."""
    return isinstance(error, InternalClientError) or (isinstance(error, Exception) and driver.is_closed())


def _driver(connection: AsyncConnection) -> Any:
    """At hand while the connection is: asking SQLAlchemy for it in its own way starts a greenlet."""
    assert connection.sync_connection is not None
    return connection.sync_connection.connection.driver_connection
