"""A browser at the pages of one tenant, without JavaScript."""

from urllib.parse import urlencode

FORM = {"content-type": "application/x-www-form-urlencoded"}


class Browser:
    def __init__(self, client, tenant, human):
        self._client, self._headers, self.base = client, human.headers, f"/console/t/{tenant.slug}"

    async def get(self, path):
        return await self._client.get(f"{self.base}{path}", headers=self._headers)

    async def post(self, path, *pairs, **fields):
        body = urlencode([*pairs, *fields.items()])
        return await self._client.post(f"{self.base}{path}", headers={**self._headers, **FORM}, content=body)

    async def text(self, path):
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text
