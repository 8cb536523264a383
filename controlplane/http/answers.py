"""What handlers return, on its way out: made into bytes inside the request's transaction, so that both can know."""

from http import HTTPStatus
from typing import Any, Final, TypeVar

from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse

from controlplane.http import manners, preconditions
from controlplane.http.manners import AnyRequest

T = TypeVar("T")

_STATE: Final = "answer"


class Answer(Response[T]):
    """The response class of the whole app, for handlers that return what they show and no response of their own."""

    def to_asgi_response(self, app: Litestar | None, request: Request[Any, Any, Any], **given: Any) -> ASGIResponse:
        """As of any response; an object that is shown gets its ETag."""
        answer = super().to_asgi_response(app, request, **given)
        if answer.status_code == HTTPStatus.CREATED and (made := getattr(self.content, "id", None)):
            answer.headers["Location"] = f"{request.scope['path'].rstrip('/')}/{made}"
        request.scope["state"][_STATE] = answer
        return preconditions.validated(request, answer) if manners.of(request).shows_object else answer


def of(request: AnyRequest) -> ASGIResponse:
    """The answer that has been made for *request*, before its transaction is committed."""
    answer = request.scope["state"].get(_STATE)
    assert isinstance(answer, ASGIResponse), "a handler whose answers are kept returns what it shows, not a Response"
    return answer
