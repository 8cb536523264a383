"""Return URLs: where a tenant lets browsers be sent after connecting. Exactly these, compared as they are."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal

MOST: Final = 50
MOST_CHARACTERS: Final = 500

LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Where http will do: nobody else listens there."""


class ReturnUrlUnfit(Refusal):
    code, status, title = "return-url-unfit", 400, "Browsers cannot be sent there"
    hint = "https with a host and no fragment, at most fifty of them; http for this very machine only."


class ReturnUrlUnknown(Refusal):
    """An open redirect would make our address somebody's bait."""

    code, status, title = "return-url-unknown", 400, "This is none of the tenant's return URLs"
    hint = "Compared exactly, with path and query. An administrator adds it: PATCH …/settings, return_urls."


async def listing(tx: TenantTx) -> list[str]:
    found = await tx.all(_Row, tx.select(t.return_urls).order_by(t.return_urls.c.url).limit(MOST))
    return [row.url for row in found]


async def decide(tx: TenantTx, actor: Actor, urls: Sequence[str]) -> list[str]:
    """Let browsers be sent to *urls* and nowhere else.

    Raises:
        ReturnUrlUnfit: If one of them is none, or there are too many.
    """
    wanted = sorted(set(urls))
    if len(wanted) > MOST or not all(map(_fits, wanted)):
        raise ReturnUrlUnfit
    if wanted == await listing(tx):
        return wanted
    await tx.run(tx.delete(t.return_urls))
    if wanted:
        rows = [{"url": url, "created_by": actor.id, "created_at": tx.now} for url in wanted]
        await tx.run(tx.insert(t.return_urls), rows)
    audit.record(
        tx, actor, "tenant.return-urls-changed", ("tenant", text_id("ten", tx.tenant_id)), own={"urls": wanted}
    )
    return wanted


async def check(tx: TenantTx, url: str) -> None:
    """
    Raises:
        ReturnUrlUnknown: If *url* is not one of them, character by character.
    """
    if await tx.first(_Row, tx.select(t.return_urls).where(t.return_urls.c.url == url)) is None:
        raise ReturnUrlUnknown


class _Row(Struct, frozen=True):
    url: str


def _fits(url: str) -> bool:
    if len(url) > MOST_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOCAL)
    return secure and bool(host) and "@" not in parts.netloc and not parts.fragment
