"""In which form something comes and goes: JSON, or what a handler declares, and nothing that only might be."""

from typing import Final

from controlplane.http import manners
from controlplane.http.manners import Connection
from controlplane.kit.problems import Refusal

JSON: Final = "application/json"
ACCEPTABLE: Final = frozenset({JSON, "application/*", "*/*"})
UNCODED: Final = frozenset({"", "identity"})


class NotAcceptable(Refusal):
    code, status, title = "not-acceptable", 406, "This is answered in JSON, which the request does not accept"
    hint = "Send Accept: application/json, or no Accept at all."


class MediaTypeUnsupported(Refusal):
    code, status, title = "media-type-unsupported", 415, "The body is not of the type that is taken here"
    hint = "Send it with the Content-Type that Accept names, which is JSON almost everywhere, and uncompressed."

    def __init__(self, taken: str) -> None:
        super().__init__(f"expected {taken}")
        self.taken = taken

    def headers(self) -> dict[str, str]:
        return {"Accept": self.taken, "Accept-Encoding": "identity"}


def check(connection: Connection) -> None:
    """Refuse what is not of the declared type before it is read, and what would not be accepted before it is done.

    A body without a type is refused as well: a page of somebody else could send that without being asked.

    Raises:
        MediaTypeUnsupported: RFC 9110 section 15.5.16.
        NotAcceptable: RFC 9110 section 15.5.7.
    """
    its = manners.of(connection)
    if its.takes is not None and not _is_plain(connection, its.takes):
        raise MediaTypeUnsupported(its.takes)
    if its.sends_json and not any(map(_is_acceptable, _ranges(connection))):
        raise NotAcceptable


def _is_plain(connection: Connection, taken: str) -> bool:
    """Whether the body is said to be of the type *taken*, uncompressed and in UTF-8; where there is none, nothing need be said."""
    headers = connection.headers
    if "content-type" not in headers and headers.get("content-length", "0") == "0":
        return "transfer-encoding" not in headers
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    coding = headers.get("content-encoding", "").strip().lower()
    return kind.strip().lower() == taken and charset in ("", "charset=utf-8") and coding in UNCODED


def _ranges(connection: Connection) -> list[str]:
    given = connection.headers.getall("accept", [])
    return ",".join(given).split(",") if given else ["*/*"]


def _is_acceptable(media_range: str) -> bool:
    kind, *parameters = (part.strip().lower() for part in media_range.split(";"))
    unwanted = any(each.startswith("q=") and not each[2:].strip("0.") for each in parameters)
    return (not kind or kind in ACCEPTABLE) and not unwanted
