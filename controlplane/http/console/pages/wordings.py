"""One prompt or skill of a document: all its versions, what each changed, and writing the next."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.configs import checking, differences, documents, rollouts, texts
from controlplane.domain.configs.documents import Config, Edit
from controlplane.domain.configs.merging import Json
from controlplane.domain.newest import Reading
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.pages import askers
from controlplane.http.console.pages.configs import READ, SHOWS, names_of
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.problems import NotFound


class Written(Struct, frozen=True, kw_only=True):
    """The form of a text."""

    version: int = 0
    """Of the document that it was opened with."""
    text: Annotated[str, Meta(max_length=checking.LONGEST)] = ""
    note: Annotated[str, Meta(max_length=500, pattern=r"^[^\u0000]*$")] = ""


class TextPage(Struct, frozen=True, kw_only=True):
    config: Config
    kind: texts.Kind
    name: str
    present: bool
    """The document still has it."""
    written: Written
    wordings: list[tuple[texts.Wording, list[str]]]
    """Each with what it changed, newest first."""
    names: dict[UUID, str]
    called: dict[str, str]
    """Who wrote them."""


async def page(
    screen: NamedDependency[Screen], config: FromPath[str], kind: FromPath[str], name: FromPath[str]
) -> Response[str]:
    return await screen.show(_page(config, kind, name))


async def save(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    config: FromPath[str],
    kind: FromPath[str],
    name: FromPath[str],
) -> Response[Any]:
    """Make the document's next version with this text, rolled out as the last one was."""
    written = await forms.read(request, Written)

    async def work(tx: TenantTx) -> None:
        config_id = identity("cfg", config)
        document = await _document(tx, config_id)
        held = document.get(_kind(kind)) or {}
        if name not in held:
            raise NotFound
        text = {**(held[name] or {}), "text": written.text.replace("\r\n", "\n")}
        [last] = await rollouts.listing(tx, config_id=config_id, limit=1)
        edit = Edit(document={**document, kind: {**held, name: text}}, plan=last.terms, note=written.note)
        await documents.save(tx, actor, config_id, edit, written.version)

    return await screen.act(work, f"/configs/{config}", _page(config, kind, name, written))


async def _gather(tx: Reading, config_id: UUID, kind: str, name: str, written: Written | None) -> TextPage:
    own, which = within(tx), _kind(kind)
    its = await documents.get(own, config_id)
    rows = [] if "\0" in name else await texts.history(own, config_id, which, name)
    if not rows:
        raise NotFound
    before = [*(each.text for each in rows[1:]), ""]
    held = (await _document(own, config_id)).get(which) or {}
    return TextPage(
        config=its,
        kind=which,
        name=name,
        present=name in held,
        written=written or Written(version=its.version, text=rows[0].text),
        wordings=[(each, differences.lines(old, each.text)) for each, old in zip(rows, before, strict=True)],
        names=await names_of(own, [its]),
        called=await askers.called(own, [each.created_by for each in rows]),
    )


async def _document(tx: TenantTx, config_id: UUID) -> Json:
    """The newest version, as people edit it.

    Raises:
        NotFound: If the tenant has no such document.
    """
    newest = await documents.versions(tx, config_id, limit=1)
    if not newest:
        raise NotFound
    return differences.unnumbered(newest[0].content())


def _kind(text: str) -> texts.Kind:
    for known in texts.KINDS:
        if text == known:
            return known
    raise NotFound


def _page(config: str, kind: str, name: str, written: Written | None = None) -> Page:
    gather = partial(_gather, config_id=identity("cfg", config), kind=kind, name=name, written=written)
    return Page(template="configs/text.html", parts=(), gather=gather, context={"longest": checking.LONGEST})


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/configs/{config:str}/texts/{kind:str}/{name:str}", opt=READ)(page),
    post(
        "/configs/{config:str}/texts/{kind:str}/{name:str}",
        status_code=200,
        opt=rule(Surface.CONSOLE, "config:write", SHOWS | {"config:read"}, fresh=True),
    )(save),
)
"""Where these pages hang, below a tenant."""
