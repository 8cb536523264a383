"""What somebody has filled in and sent: from the fields of a form to a Struct."""

from typing import Any, TypeVar, get_origin

import msgspec
from litestar import Request
from msgspec import Struct

from controlplane.http.problems import Invalid

Form = TypeVar("Form", bound=Struct)

MOST_PAIRS = 16


async def read(request: Request[Any, Any, Any], into: type[Form]) -> Form:
    """The form that *request* brings; an empty field is one that was not filled in.

    Raises:
        Invalid: If a field cannot be.
    """
    form = await request.form()
    given: dict[str, object] = {}
    for field in msgspec.structs.fields(into):
        values = [value for value in form.getall(field.name, []) if value]
        if get_origin(field.type) is list:
            given[field.name] = values
        elif values:
            given[field.name] = values[-1]
    try:
        return msgspec.convert(given, into, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid([{"in": "body", "name": "", "detail": str(error)}]) from error


def pairs(text: str) -> dict[str, str]:
    """``env=dev zone=eu`` as labels.

    Raises:
        Invalid: If it is written otherwise.
    """
    words = text.replace(",", " ").split()
    labels = dict(word.split("=", 1) for word in words if "=" in word)
    if (
        len(labels) != len(words)
        or len(words) > MOST_PAIRS
        or not all(name and value for name, value in labels.items())
    ):
        raise Invalid([{"in": "body", "name": "labels", "detail": "write labels as name=value, with spaces between"}])
    return labels
