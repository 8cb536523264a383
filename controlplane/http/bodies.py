"""JSON bodies, taken at their word: a number in quotes is no number.

Litestar reads JSON into whatever it is and then makes of it what the handler wants, by force where need be.
"""

import re
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.datastructures import State

from controlplane.http.authorize import Surface
from controlplane.http.problems import Invalid

User = TypeVar("User")
Auth = TypeVar("Auth")

PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at (?:the key in )?`\$?\.?(?P<where>[^`]*)`)?", re.DOTALL)
"""msgspec's words: what is wrong, and where."""

NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""As JSON has to write the character that PostgreSQL keeps in no text."""

KEEP: Final = frozenset({Surface.TENANT, Surface.OPERATOR, Surface.ME})
"""Where everything that comes as JSON is kept as text or compared with such. Runtimes and directories are told in
their own words."""


class StrictRequest(Request[User, Auth, State]):
    """The request class of the whole app."""

    async def json(self) -> Any:
        """The body as its handler wants it, if it is exactly that.

        Raises:
            Invalid: If it is not; the place is named.
        """
        wanted = self.route_handler.parsed_fn_signature.parameters.get("data")
        body = await self.body()
        if wanted is None or not body:
            return await super().json()
        if NUL.search(body) and self.route_handler.opt["rule"].surface in KEEP:
            raise Invalid([{"in": "body", "name": "", "detail": "a text with a NUL character"}])
        try:
            return _exactly(body, wanted.annotation)
        except msgspec.DecodeError as error:
            found = PLACE.fullmatch(str(error))
            what, where = (found["what"], found["where"] or "") if found else (str(error), "")
            raise Invalid([{"in": "body", "name": where, "detail": what}]) from None


def _exactly(body: bytes, wanted: Any) -> Any:
    """*body* as *wanted*; ``5.0`` is the integer 5 (JSON Schema, section 6.1.1 of its validation)."""
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
    return msgspec.convert(_whole(msgspec.json.decode(body)), wanted)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
