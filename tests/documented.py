"""Every refusal that a test meets is one that the document names for the operation."""

import re
from functools import cache

import httpx

from controlplane.app import documented

PROBLEM = "application/problem+json"


async def check(answer: httpx.Response) -> None:
    """A response hook of the tests' client.

    Raises:
        AssertionError: If the operation was answered with a status or a code that its document does not name.
    """
    responses = _responses(answer.request.method, answer.request.url.path)
    if responses is None or answer.status_code == 405:
        return
    assert str(answer.status_code) in responses, f"{answer.request.url}: {answer.status_code} is not documented"
    if answer.headers.get("content-type") == PROBLEM and answer.request.method != "HEAD":
        await answer.aread()
        code = answer.json()["code"]
        assert code in responses[str(answer.status_code)], f"{answer.request.url}: {code} is not documented"


def _responses(method: str, path: str) -> dict[str, set[str]] | None:
    """The codes of each status of the operation at *path*; None where there is none."""
    wanted = "get" if method == "HEAD" else method.lower()
    for pattern, operations in _paths():
        if wanted in operations and pattern.fullmatch(path.rstrip("/") or "/"):
            return operations[wanted]
    return None


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, dict[str, set[str]]]]]:
    document = documented()
    shared = document["components"]["responses"]

    def codes(response):
        whole = shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        return set(whole.get("content", {}).get(PROBLEM, {}).get("examples", ()))

    found = [
        (
            re.compile(re.sub(r"\{\w+\}", "[^/]+", path)),
            {
                method: {status: codes(each) for status, each in operation["responses"].items()}
                for method, operation in operations.items()
            },
        )
        for path, operations in document["paths"].items()
    ]
    return sorted(found, key=lambda each: each[0].pattern.count("[^/]+"))  # what is named goes before what may be any
