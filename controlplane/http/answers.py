"""What handlers return, on its way out: made into bytes inside the request's transaction, so that both can know."""

from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse

from controlplane.http import manners, preconditions
from controlplane.http.manners import AnyRequest
from controlplane.http.pages import Page

T = TypeVar("T")

_STATE: Final = "answer"


class Answer(Response[T]):
    """The response class of the whole app, for handlers that return what they show and no response of their own."""

    def to_asgi_response(self, app: Litestar | None, request: Request[Any, Any, Any], **given: Any) -> ASGIResponse:
        """As of any response; an object that is shown gets its ETag, one that was made its address, a page its next."""
        answer = super().to_asgi_response(app, request, **given)
        path = request.scope["path"].rstrip("/")
        if answer.status_code == HTTPStatus.CREATED and (up := manners.of(request).made_up) is not None:
            answer.headers["Location"] = "/".join([*path.split("/")[: -up or None], getattr(self.content, "id", "")])
        if isinstance(self.content, Page) and (cursor := self.content.page.next_cursor):
            answer.headers["Link"] = f'<{path}?{_with(request, cursor)}>; rel="next"'
        request.scope["state"][_STATE] = answer
        return preconditions.validated(request, answer) if manners.of(request).shows_object else answer


def _with(request: Request[Any, Any, Any], cursor: str) -> str:
    """The query of *request* with another cursor."""
    others = [each for each in request.query_params.multi_items() if each[0] != "cursor"]
    return urlencode([*others, ("cursor", cursor)])


def of(request: AnyRequest) -> ASGIResponse:
    """The answer that has been made for *request*, before its transaction is committed."""
    answer = request.scope["state"].get(_STATE)
    assert isinstance(answer, ASGIResponse), "a handler whose answers are kept returns what it shows, not a Response"
    return answer
