"""A hand in one tenant: makes things there through the API."""

from typing import Any, Final

import httpx

LONG: Final = "A name of the length that people give to things once they have hundreds of them and sort by hand"

SCIM_USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"


class Furnisher:
    """Makes things in one tenant, through the API."""

    def __init__(self, client: httpx.Client, slug: str) -> None:
        self._client, self._slug = client, slug

    def make(self, what: str, method: str = "POST", **body: Any) -> dict[str, Any]:
        """What the API answers to having made one."""
        answer = self._client.request(method, f"/v1/tenants/{self._slug}/{what}", json=body or None)
        assert answer.is_success, f"{what}: {answer.text}"
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def see(self, what: str) -> dict[str, Any]:
        """What the API shows."""
        found: dict[str, Any] = self._client.get(f"/v1/tenants/{self._slug}/{what}").raise_for_status().json()
        return found

    def change(self, what: str, **body: Any) -> None:
        """Put another in the place of what stands there now."""
        address = f"/v1/tenants/{self._slug}/{what}"
        seen = self._client.get(address).headers["ETag"]
        answer = self._client.put(address, json=body, headers={"If-Match": seen})
        assert answer.is_success, f"{what}: {answer.text}"

    def announce(self, token: str, address: str, given: str, family: str) -> str:
        """The id of a person whom the directory has made."""
        person = {
            "schemas": [SCIM_USER],
            "userName": address,
            "displayName": f"{given} {family}",
            "name": {"givenName": given, "familyName": family},
        }
        answer = self._client.post("/scim/v2/Users", json=person, headers={"Authorization": f"Bearer {token}"})
        assert answer.is_success, answer.text
        return str(answer.json()["id"])
