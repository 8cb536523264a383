"""EngineX's own server on this machine: the documented calls by which its sessions are paused, resumed and answered.

It knows sessions by ids of its own; which of them runs a session of the home, its list tells.
"""

from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from runtime_agent.sources.acting import Failed

TIMEOUT_S: Final = 30.0

SESSIONS: Final = "/api/sessions"


class _Loaded(Struct, frozen=True):
    session_id: str = ""
    agent_path: str = ""
    current_exec_id: str | None = None
    """The session of the home that it runs."""


class _List(Struct, frozen=True):
    sessions: list[_Loaded] = []


class _Error(Struct, frozen=True):
    error: str = ""


Wanted: TypeAlias = Callable[[_Loaded], bool]


class EngineServer:
    """At one address; nothing is kept between calls."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """
        Args:
            transport: For tests: where calls go instead of to the network.
        """
        self._url, self._transport = url, transport

    async def runs(self, session: str) -> bool:
        """Only what its own server runs is known to it, and not what a worker or a shell does."""
        try:
            async with self._client() as client:
                await self._loaded(client, _runs(session))
        except (httpx.HTTPError, Failed):
            return False
        return True

    async def pause(self, session: str) -> str:
        await self._call("POST", _runs(session), "/pause")
        return "EngineX pauses it"

    async def resume(self, session: str) -> str:
        await self._call("POST", _runs(session), "/resume")
        return "EngineX resumes it"

    async def resume_from(self, agent: str, session: str, checkpoint: str) -> str:
        """Whatever load of the agent runs nothing can do it; each runs one session at a time."""

        def can(each: _Loaded) -> bool:
            name = each.agent_path.rstrip("/").rpartition("/")[2]
            return name == agent and not each.current_exec_id

        await self._call(
            "POST", can, f"/executions/{quote(session, safe='')}/checkpoints/{quote(checkpoint, safe='')}/resume"
        )
        return f"EngineX resumes it from {checkpoint}"

    async def cancel(self, session: str) -> str:
        await self._call("DELETE", _runs(session), "")
        return "EngineX stopped it"

    async def say(self, session: str, words: str) -> str:
        await self._call("POST", _runs(session), "/message", {"message": words})
        return "EngineX was told"

    async def _call(self, method: str, wanted: Wanted, rest: str, body: dict[str, str] | None = None) -> None:
        """
        Raises:
            Failed: With EngineX's own word where it has one.
        """
        try:
            async with self._client() as client:
                loaded = await self._loaded(client, wanted)
                answer = await client.request(method, f"{SESSIONS}/{loaded}{rest}", json=body or {})
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        if answer.is_success:
            return
        if answer.status_code == 404:
            raise _not_loaded()
        raise Failed("runtime-refused", f"EngineX said no: {_word(answer)}")

    async def _loaded(self, client: httpx.AsyncClient, wanted: Wanted) -> str:
        """EngineX's own id of the first that is *wanted*."""
        answer = await client.get(SESSIONS)
        try:
            found = msgspec.json.decode(answer.raise_for_status().content, type=_List)
        except (msgspec.MsgspecError, httpx.HTTPStatusError):
            raise Failed("runtime-unreachable", "what answers there is no EngineX") from None
        for each in found.sessions:
            if wanted(each):
                return each.session_id
        raise _not_loaded()

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._url, timeout=TIMEOUT_S, transport=self._transport, trust_env=False, follow_redirects=False
        )


def _runs(session: str) -> Wanted:
    return lambda each: session in (each.current_exec_id, each.session_id)


def _not_loaded() -> Failed:
    return Failed("session-not-loaded", "EngineX's server does not have this session loaded")


def _unreachable(error: httpx.HTTPError) -> Failed:
    return Failed("runtime-unreachable", f"EngineX's server does not answer: {type(error).__name__}")


def _word(answer: httpx.Response) -> str:
    try:
        return msgspec.json.decode(answer.content, type=_Error).error or str(answer.status_code)
    except msgspec.MsgspecError:
        return str(answer.status_code)
