"""Many things at once: each for itself, with its own audit event and its own result; or all of them, or none."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from msgspec import Meta, Struct

from controlplane.db.database import WritingTx
from controlplane.kit.problems import Refusal

MOST: Final = 100
"""Things in one request: what one transaction can do without others noticing."""


class Batch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which things."""

    ids: Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(min_length=1, max_length=MOST)]
    atomic: bool = False
    """True: where one cannot be done, none is. False: the others are."""


class ItemProblem(Struct, frozen=True, kw_only=True):
    """Why one of them could not be done: as a problem of its own, without the request's id."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str


class ItemResult(Struct, frozen=True, kw_only=True):
    id: str
    """As it was given."""
    status: int
    """What a request for this one alone would have been answered with."""
    problem: ItemProblem | None


class BatchResult(Struct, frozen=True, kw_only=True):
    """One result for each id, in the order of the request."""

    done: int
    refused: int
    results: list[ItemResult]


class BatchRefused(Refusal):
    """Nothing was done of a batch that was to be done whole."""

    code, status, title = "batch-refused", 409, "One of them cannot be done, so none was"
    hint = "See the results; leave out what was refused, or send atomic: false."

    def __init__(self, result: BatchResult) -> None:
        super().__init__(f"{result.refused} of {len(result.results)} cannot be done")
        self.result = result

    def facts(self) -> dict[str, object]:
        return {"results": self.result.results}


async def each(tx: WritingTx, batch: Batch, act: Callable[[str], Awaitable[None]]) -> BatchResult:
    """Have *act* done to each id, in parts of *tx* that fail alone.

    Raises:
        BatchRefused: If the batch is atomic and one was refused; nothing is done then.
    """
    results = [await _one(tx, given, act) for given in batch.ids]
    refused = sum(result.problem is not None for result in results)
    found = BatchResult(done=len(results) - refused, refused=refused, results=results)
    if batch.atomic and refused:
        raise BatchRefused(found)
    return found


async def _one(tx: WritingTx, given: str, act: Callable[[str], Awaitable[None]]) -> ItemResult:
    try:
        async with tx.part():
            await act(given)
    except Refusal as refusal:
        return ItemResult(id=given, status=refusal.status, problem=_problem(refusal))
    return ItemResult(id=given, status=204, problem=None)


def _problem(refusal: Refusal) -> ItemProblem:
    return ItemProblem(
        type=f"/problems/{refusal.code}",
        title=refusal.title,
        status=refusal.status,
        detail=refusal.detail,
        code=refusal.code,
        hint=refusal.hint,
    )
