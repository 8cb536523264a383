"""What the service writes to people: one sentence a paragraph, at most one link, and never more than they must know."""

from collections.abc import Sequence
from datetime import timedelta
from html import escape
from typing import Final

from msgspec import Struct

NOT_YOU: Final = "If you did not expect this letter, you need not do anything: without the link nothing happens."

_HTML: Final = """<!doctype html>
<html lang="en"><body style="font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:0 auto;padding:24px">
{paragraphs}
</body></html>
"""
_LINK: Final = '<p><a href="{link}" style="font-weight:600">{label}</a></p>'


class Letterhead(Struct, frozen=True, kw_only=True):
    """What it takes to put a link that works once into a letter."""

    public_url: str
    pepper: bytes

    def __repr__(self) -> str:
        return f"Letterhead({self.public_url})"

    def link(self, page: str, token: str) -> str:
        """The secret stands in the fragment, which browsers send to nobody."""
        return f"{self.public_url}/console/{page}#{token}"


class Letter(Struct, frozen=True, kw_only=True):
    """Kept sealed until it is sent: it holds an address, and mostly a secret."""

    to: str
    subject: str = ""
    paragraphs: list[str] = []
    link: str = ""
    label: str = ""
    """What the link does."""
    after: list[str] = []

    def text(self) -> str:
        """As plain text; the link stands alone on its line."""
        parts = [*self.paragraphs, *([f"{self.label}:\n{self.link}"] if self.link else []), *self.after]
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        parts = [f"<p>{escape(each)}</p>" for each in self.paragraphs]
        if self.link:
            parts.append(_LINK.format(link=escape(self.link), label=escape(self.label)))
        parts += [f"<p>{escape(each)}</p>" for each in self.after]
        return _HTML.format(paragraphs="\n".join(parts))

    def __repr__(self) -> str:
        return "Letter(…)"


def invitation(to: str, tenant: str, role: str, link: str, lifetime: timedelta) -> Letter:
    return Letter(
        to=to,
        subject=f"You are invited to {tenant}",
        paragraphs=[f"You are invited to work in {tenant} on Engine Cloud, as {role}."],
        link=link,
        label="Accept the invitation",
        after=[f"The link works once, for {lifetime.days} days, and only for this address.", NOT_YOU],
    )


def password_reset(to: str, link: str, lifetime: timedelta) -> Letter:
    return Letter(
        to=to,
        subject="A new password for Engine Cloud",
        paragraphs=["Somebody asked for a new password for the account with this address."],
        link=link,
        label="Choose a new password",
        after=[f"The link works once, for {_minutes(lifetime)} minutes.", NOT_YOU],
    )


def notice(to: str, what: str) -> Letter:
    """That something about an account changed.

    Args:
        what: A sentence: "The password of your account was changed."
    """
    return Letter(
        to=to,
        subject="A change to your Engine Cloud account",
        paragraphs=[what],
        after=["If this was not you, ask for a new password at once and tell whoever runs this service."],
    )


def webhook_disabled(to: str, host: str, reason: str, tenant: str) -> Letter:
    return Letter(
        to=to,
        subject=f"A webhook of {tenant} was disabled",
        paragraphs=[
            f"Events of {tenant} are not sent to {host} any more: {reason}.",
            "Nothing is lost: they are kept for thirty days, and can be replayed once the webhook is enabled again.",
        ],
    )


def impersonation(to: str, what: Sequence[str], link: str) -> Letter:
    """To a tenant's owners: that an operator wants to work as somebody, may, tried to, or does.

    Args:
        what: Sentences: who, as whom, why, how long.
    """
    return Letter(
        to=to,
        subject="Somebody of Engine Cloud and your tenant",
        paragraphs=list(what),
        link=link,
        label="See it, and agree, refuse or end it",
        after=["Whatever is done meanwhile stands in your audit log with both names."],
    )


def disclosure(to: str, what: Sequence[str], link: str) -> Letter:
    """To a tenant's owners: that somebody wants to read a credential, may, or has.

    Args:
        what: Sentences: who, which, why.
    """
    return Letter(
        to=to,
        subject="A credential of your tenant, and who reads it",
        paragraphs=list(what),
        link=link,
        label="See the connection",
        after=["Whoever has read a credential has it: replace it, or connect the account anew, when they are done."],
    )


def _minutes(lifetime: timedelta) -> int:
    return int(lifetime.total_seconds() // 60)
