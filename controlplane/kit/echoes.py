"""Takes secrets out of what others answer: some servers say back what they were sent."""

import base64
import html
import json
import re
from collections.abc import AsyncIterator, Iterable
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 4
"""What is shorter is no secret, and is everywhere."""


class Echoes:
    """Puts asterisks in the place of secrets, as many as the echo has bytes: whatever counts them still counts right."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for each in secrets if len(each) >= SHORTEST for form in _forms(each)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._any = re.compile(b"|".join(map(re.escape, self._forms)) or b"(?!)")

    def strip(self, text: str) -> str:
        """*text* without any of them."""
        return self._stripped(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    async def out_of(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """*chunks* without any of them, wherever they were cut. Only what may be the beginning of one waits for more."""
        held = b""
        async for chunk in chunks:
            held = self._stripped(held + chunk)
            begins = self._begins(held)
            if begins:
                yield held[:begins]
            held = held[begins:]
        if held:
            yield held

    def _stripped(self, raw: bytes) -> bytes:
        return self._any.sub(lambda found: b"*" * len(found[0]), raw)

    def _begins(self, raw: bytes) -> int:
        """Where at the end of *raw* one of them may have begun; its length if nowhere."""
        first = len(raw)
        for form in self._forms:
            at = raw.find(form[:1], max(0, len(raw) - len(form) + 1))
            while at >= 0 and not form.startswith(raw[at:]):
                at = raw.find(form[:1], at + 1)
            first = min(first, at) if at >= 0 else first
        return first


def _forms(secret: str) -> set[bytes]:
    """As it stands in a text, in JSON, in an address, in HTML and in Base64."""
    raw = secret.encode()
    quoted = json.dumps(secret)[1:-1]
    words = {
        secret,
        quoted,
        quoted.replace("/", "\\/"),
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
    }
    words |= {encode(raw).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    return {each.encode() for each in words}
