"""/v1/credentials: what a runtime may have, and each of it as a token that is not sealed."""

import hashlib
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.domain.permissions import Runtime
from controlplane.domain.vault import unsealed
from controlplane.domain.vault.leasing import Leasing
from controlplane.domain.vault.looking import Seen
from controlplane.domain.vault.unsealed import Asker, Given
from controlplane.http import limits
from controlplane.http.authorize import Surface, rule
from controlplane.http.credentials_api.answers import (
    Credential,
    Integration,
    Integrations,
    Received,
    Tombstone,
    Validity,
    instant,
)
from controlplane.kit.limiter import Limiter

Word = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Usage(Struct, frozen=True, kw_only=True):
    """What the runtime says of a use. Its metadata may be anything, and is not kept."""

    operation: Word = ""
    status: Word = ""


class CredentialsController(Controller):
    path = "/v1/credentials"
    opt = rule(Surface.CREDENTIALS, "credential:lease")

    @get("/")
    async def listing(self, request: Request[Runtime, Any, Any], leasing: NamedDependency[Leasing]) -> Response[bytes]:
        """What there is; whoever says what they have seen is told only if it is another by now."""
        asker = _asker(request)
        found = await unsealed.listing(leasing, asker)
        now = leasing.db.clock()
        entries = [
            Integration(
                integration_id=seen.shown,
                provider=seen.provider,
                alias=seen.name,
                status=unsealed.status_of(seen, now),
                email=seen.account_email,
                expires_at=instant(seen.access_exp) if seen.access_exp else None,
            )
            for seen in found.found
        ]
        gone = [Tombstone(integration_id=each) for each in found.gone]
        body = msgspec.json.encode(Integrations(integrations=entries, tombstones=gone))
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": "no-store"}
        if etag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
            return Response(b"", status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    @get("/{integration:str}")
    async def show(
        self, request: Request[Runtime, Any, Any], leasing: NamedDependency[Leasing], integration: FromPath[str]
    ) -> Response[Credential]:
        """The token as it is."""
        return _credential(await unsealed.get(leasing, _asker(request), integration))

    @post("/{integration:str}/refresh", status_code=200)
    async def refresh(
        self,
        request: Request[Runtime, Any, Any],
        leasing: NamedDependency[Leasing],
        limiter: NamedDependency[Limiter],
        integration: FromPath[str],
    ) -> Response[Credential]:
        """One that lasts for a while yet. It is the same one where that does."""
        await limits.check(limiter, limits.UNSEALED_REFRESH, "unsealed-refresh", str(request.user.id), integration)
        return _credential(await unsealed.refreshed(leasing, _asker(request), integration))

    @get("/{integration:str}/validate")
    async def validate(
        self, request: Request[Runtime, Any, Any], leasing: NamedDependency[Leasing], integration: FromPath[str]
    ) -> Validity:
        """Whether a token is to be had."""
        seen, now = await unsealed.look(leasing, _asker(request), integration), leasing.db.clock()
        status = unsealed.status_of(seen, now)
        valid, needs_person = status == "active", status == "requires_reauth"
        why = None if valid else seen.state_reason or seen.state
        return Validity(
            valid=valid,
            status=status,
            expires_at=instant(seen.access_exp) if seen.access_exp else None,
            error=why,
            expires_in_seconds=max(0, int((seen.access_exp - now).total_seconds())) if seen.access_exp else None,
            reason=why,
            requires_reauthorization=needs_person,
            reauthorization_url=f"{request.app.state.public_url}/console" if needs_person else None,
        )

    @post("/{integration:str}/usage", status_code=200)
    async def usage(
        self,
        data: JSONBody[Usage],
        request: Request[Runtime, Any, Any],
        leasing: NamedDependency[Leasing],
        integration: FromPath[str],
    ) -> Received:
        """Taken down among the reads, in the runtime's own words."""
        await unsealed.note_use(leasing, _asker(request), integration, data.operation, data.status)
        return Received()


def _asker(request: Request[Runtime, Any, Any]) -> Asker:
    return Asker(runtime=request.user, address=limits.address(request))


def _credential(given: Given) -> Response[Credential]:
    seen: Seen = given.seen
    body = Credential(
        access_token=given.token,
        token_type=given.token_type,
        expires_at=instant(given.expires_at),
        provider=seen.provider,
        alias=seen.name,
        email=seen.account_email,
        scopes=given.scopes,
        metadata={name: value for name, value in _identity(seen).items() if value},
    )
    return Response(body, headers={"Cache-Control": "no-store"})


def _identity(seen: Seen) -> dict[str, str]:
    """What that client keeps of whose account it is."""
    return {"email": seen.account_email, "username": seen.account_name, "account_id": seen.account_key or ""}
