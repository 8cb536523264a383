"""From what a page has gathered to HTML: the environment of the templates, and headers that keep browsers strict."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Response
from markupsafe import Markup
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain.masks import Acting
from controlplane.domain.newest import Reading
from controlplane.http.console import words
from controlplane.http.console.assets import asset
from controlplane.http.console.switcher import places_for
from controlplane.http.console.view import ACCESS_TABS, View
from controlplane.kit.problems import Refusal

STRICT: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types console"
    ),
}

AGES: Final = re.compile(r"data-ago>[^<]*<")
"""What changes with every second; no reason to send a part again."""

ENVIRONMENT: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(words.FILTERS)
ENVIRONMENT.globals.update(
    WAITS=words.WAITS,
    STATUSES=words.STATUSES,
    RUNTIME_STATES=words.RUNTIME_STATES,
    TENANT_STATES=words.TENANT_STATES,
    LIMITS=words.LIMITS,
    COMMAND_STATES=words.COMMAND_STATES,
    COMMAND_HINTS=words.COMMAND_HINTS,
    CONFIG_STATES=words.CONFIG_STATES,
    CONNECTION_STATES=words.CONNECTION_STATES,
    with_query=words.with_query,
    ACCESS_TABS=ACCESS_TABS,
    asset=asset,
)


class Page(Struct, frozen=True, kw_only=True):
    """What a page is made of. Its parts are elements with ids of their own, which can be replaced one by one."""

    template: str
    parts: tuple[str, ...]
    """Templates ``<page>/<part>.html``, each rendering one element."""
    gather: Callable[[Reading], Awaitable[Any]]
    context: Mapping[str, object] = {}
    stream: str | None = None
    """Where changes of the parts are to be heard; None: the page does not change by itself."""


async def parts(db: Database, view: View, page: Page) -> dict[str, Markup]:
    """The page's parts as they are now, by name."""
    return _rendered(view, page, await _gathered(db, view, page))


async def whole(db: Database, view: View, page: Page, problem: Refusal | None = None) -> Response[str]:
    """The document, complete without any stream.

    Args:
        problem: Why what was asked for on it has not been done.
    """
    data = await _gathered(db, view, page)
    rendered = _rendered(view, page, data)
    places = await places_for(db, view)
    stream = f"{page.stream}{'&' if '?' in page.stream else '?'}seen={fingerprint(rendered)}" if page.stream else None
    own = {"view": view, "data": data, "tenants": places, "stream": stream, "part": rendered, "problem": problem}
    return html(page.template, {**page.context, **own}, problem.status if problem else 200)


async def _gathered(db: Database, view: View, page: Page) -> object:
    async with view.read(db) as tx:
        return await page.gather(tx)


def _rendered(view: View, page: Page, data: object) -> dict[str, Markup]:
    context = {**page.context, "view": view, "data": data}
    return {name: _part(name, context) for name in page.parts}


def _part(name: str, context: Mapping[str, object]) -> Markup:
    return Markup(ENVIRONMENT.get_template(f"{name}.html").render(context))  # noqa: S704 the templates escape


def html(template: str, context: Mapping[str, object], status: int = 200) -> Response[str]:
    document = ENVIRONMENT.get_template(template).render(context)
    return Response(document, status_code=status, media_type=MediaType.HTML, headers=STRICT)


async def plain(
    db: Database, view: View, template: str, context: Mapping[str, object], problem: Refusal | None = None
) -> Response[str]:
    """A page that does not change by itself, and is not in parts.

    Args:
        problem: Why what somebody wanted to do on it was not done.
    """
    own = {"view": view, "tenants": await places_for(db, view), "stream": None, "problem": problem}
    answer = html(template, {**context, **own}, problem.status if problem else 200)
    if problem is not None:
        answer.headers.update(problem.headers())
    return answer


def refusal(
    problem: Refusal, request_id: str = "", *, said: str = "", onward: str = "", acting: Acting | None = None
) -> Response[str]:
    """An error page. What was not found says nothing of who asked or for what: foreign and absent are one page.

    Args:
        said: What stands before the hint, in somebody's own words.
        onward: Where the page leads, if not to the overview.
        acting: As whom somebody works who sees it.
    """
    told = {"title": problem.title, "hint": problem.hint, "request_id": request_id, "said": said, "onward": onward}
    context = {**told, "acting": acting}
    answer = html("error.html", context, problem.status)
    answer.headers.update(problem.headers())
    return answer


def fingerprint(rendered: Mapping[str, str]) -> str:
    """Equal as long as the parts say the same."""
    said = "\0".join(AGES.sub("", part) for part in rendered.values())
    return hashlib.blake2b(said.encode(), digest_size=9).hexdigest()
