"""The other side of a WebSocket, through ASGI, in the loop of the test."""

import asyncio
import json

from runtime_agent.wire.channel import PATH

PATIENCE_S = 10.0


class Line:
    """One connection; ``refused`` is what it was closed with before it was accepted."""

    def __init__(self, app, token="", path=PATH, query="", **headers):
        given = {"host": "test", **({"authorization": f"Bearer {token}"} if token else {}), **headers}
        self._scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "scheme": "ws",
            "http_version": "1.1",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
            "subprotocols": [],
            "state": {},
        }
        self._app, self._to, self._from = app, asyncio.Queue(), asyncio.Queue()
        self.refused = None

    async def __aenter__(self):
        self._to.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self._app(self._scope, self._to.get, self._from.put))
        if (first := await self._message())["type"] == "websocket.close":
            self.refused = first["code"], first["reason"]
        return self

    async def __aexit__(self, *_):
        self.hang_up()
        await asyncio.wait_for(self.task, PATIENCE_S)

    def hang_up(self):
        self._to.put_nowait({"type": "websocket.disconnect", "code": 1001})

    def say(self, text=None, **asking):
        text = json.dumps(asking) if text is None else text
        self._to.put_nowait({"type": "websocket.receive", "text": text})

    async def heard(self):
        message = await self._message()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def closed(self):
        message = await self._message()
        assert message["type"] == "websocket.close", message
        return message["code"], message.get("reason") or ""

    async def _message(self):
        return await asyncio.wait_for(self._from.get(), PATIENCE_S)
