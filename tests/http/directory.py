"""A tenant's directory, as it talks to us: every call goes over HTTP with its token."""

import json
from pathlib import Path

REQUESTS = Path(__file__).parent / "scim_requests"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Directory:
    def __init__(self, client, headers):
        self._client, self.headers = client, {**headers, "content-type": "application/scim+json"}

    async def call(self, method, path, body=None, **headers):
        given = {} if body is None else {"content": body if isinstance(body, str | bytes) else json.dumps(body)}
        headers = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self._client.request(method, f"/scim/v2{path}", headers=headers, **given)

    async def get(self, path, **headers):
        return await self.call("GET", path, **headers)

    async def user(self, user_name="ada@example.com", **given):
        """Announce somebody."""
        answer = await self.call("POST", "/Users", {"schemas": [USER], "userName": user_name, **given})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def group(self, name="Builders", *members, **given):
        body = {"schemas": [GROUP], "displayName": name, "members": [{"value": each} for each in members], **given}
        answer = await self.call("POST", "/Groups", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def patch(self, path, *operations, **headers):
        return await self.call("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **headers)

    async def found(self, kind, query=""):
        """The resources of a list."""
        answer = await self.get(f"/{kind}{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()["Resources"]

    async def members(self, group_id):
        group = (await self.get(f"/Groups/{group_id}")).json()
        return {member["value"] for member in group.get("members", [])}
