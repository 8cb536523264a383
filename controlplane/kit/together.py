"""Questions that come at about the same time, answered by one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Together(Generic[Question, Answer]):
    """While one call is under way, and for a moment before the first, those who ask are gathered for the next."""

    def __init__(
        self,
        answered: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        *,
        gather_s: float = 0.0,
        most: int = 500,
    ) -> None:
        """
        Args:
            answered: The answers to so many questions, in their order.
            gather_s: How long the first one waits for others.
            most: Asked in one call.
        """
        self._answered, self._gather_s, self._most = answered, gather_s, most
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """Whatever the call raises, everybody in it gets."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await future

    async def _ask(self) -> None:
        await asyncio.sleep(self._gather_s)
        while self._waiting:
            taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                answers = await self._answered([question for question, _ in taken])
            except Exception as error:
                for _, future in taken:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(taken, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
