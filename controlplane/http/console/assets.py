"""Stylesheet, scripts and icon: our own, all there are, under addresses that change with their contents."""

import hashlib
from pathlib import Path
from typing import Annotated, Final

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from controlplane.http.authorize import Surface, open_to_all
from controlplane.kit.problems import NotFound

TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"

_FILES: Final = {path.name: path.read_bytes() for path in (Path(__file__).parent / "static").iterdir()}
_VERSIONS: Final = {name: hashlib.blake2b(body, digest_size=6).hexdigest() for name, body in _FILES.items()}


def asset(name: str) -> str:
    """The address of a file, with its version: browsers may keep it for ever."""
    return f"/console/static/{name}?v={_VERSIONS[name]}"


@get("/static/{name:str}", opt=open_to_all("the console's looks", Surface.CONSOLE), include_in_schema=False)
async def static(name: FromPath[str], version: Annotated[str, QueryParameter(name="v")] = "") -> Response[bytes]:
    if name not in _FILES:
        raise NotFound
    kept = FOR_EVER if version == _VERSIONS[name] else ASK_AGAIN
    return Response(
        _FILES[name], media_type=f"{TYPES[Path(name).suffix]}; charset=utf-8", headers={"Cache-Control": kept}
    )
