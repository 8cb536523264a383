"""/oauth/clients/{app}: who we are, for authorization servers that read a client's id as the address of a document.

It says nothing that its address does not say: which apps there are is nobody's business, so every id has a document.
"""

from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from controlplane.domain import keys
from controlplane.domain.keys import Keyring
from controlplane.http.authorize import open_to_all
from controlplane.http.connecting.desk import Vault
from controlplane.http.connecting.discovering import CLIENT_NAME
from controlplane.http.paths import identity
from controlplane.kit.ids import OAuthAppId
from controlplane.kit.oauth import resources

CACHED: Final = {"Cache-Control": "public, max-age=3600"}
WHO_WE_ARE: Final = open_to_all("says who we are, to whoever is asked to let people come back to us")


@get("/clients/{app:str}", opt=WHO_WE_ARE, tags=["connecting"])
async def document(
    vault: NamedDependency[Vault], keyring: NamedDependency[Keyring], app: FromPath[str]
) -> Response[dict[str, Any]]:
    """The metadata of a client that proves who it is by a key (OAuth Client ID Metadata Document)."""
    app_id = OAuthAppId(identity("app", app))
    return _answer(vault, app_id, vault.document(app_id), keys.client_jwks(keyring))


@get("/clients/{app:str}/public", opt=WHO_WE_ARE, tags=["connecting"])
async def public_document(vault: NamedDependency[Vault], app: FromPath[str]) -> Response[dict[str, Any]]:
    """The same of a public client, for servers that take no proof by a key."""
    app_id = OAuthAppId(identity("app", app))
    return _answer(vault, app_id, vault.document(app_id, public=True), None)


def _answer(
    vault: Vault, app_id: OAuthAppId, address: str, public_keys: dict[str, Any] | None
) -> Response[dict[str, Any]]:
    said = resources.document(address, CLIENT_NAME, vault.redirect_uri(app_id), public_keys)
    return Response({**said, "client_uri": vault.public_url}, headers=CACHED)
