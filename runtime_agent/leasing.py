"""``runtime-agent credentials``: what this runtime may lease, and a credential on stdout for whoever asks."""

from collections.abc import Sequence

from msgspec import Struct

from runtime_agent.agent import Post
from runtime_agent.clock import utc_now
from runtime_agent.credentials import Asked, Credentials
from runtime_agent.http import Busy, Http, Refused, Unreachable
from runtime_agent.problems import USAGE, Refusal
from runtime_agent.tokens import Tokens
from runtime_agent.wire.leases import Contents, Usable


class Misused(Refusal):
    code = "bad-usage"
    exit_code = USAGE


class NotHad(Refusal):
    """The control plane said no, or could not be asked."""

    code = "credential-not-had"


class Got(Struct, frozen=True, kw_only=True):
    """A credential and how long it may be used."""

    connection: str
    name: str
    provider: str
    lease: str
    expires_at: str
    credential: Contents


async def listing(post: Post) -> Sequence[Usable]:
    """
    Raises:
        NotHad: With the control plane's own words.
    """
    async with Http(post.identity.server, utc_now) as http:
        try:
            return await _credentials(post, http).listing()
        except (Refused, Busy, Unreachable) as error:
            raise _not_had(error) from error


async def got(post: Post, name: str, *, agent: str, purpose: str) -> Got:
    """
    Raises:
        NoCredential, LeaseForged: If there is none, or it is not the control plane's.
        NotHad: With the control plane's own words.
    """
    async with Http(post.identity.server, utc_now) as http:
        try:
            held = await _credentials(post, http).get(Asked(name=name, agent=agent, purpose=purpose))
        except (Refused, Busy, Unreachable) as error:
            raise _not_had(error) from error
    bound = held.lease.bound
    return Got(
        connection=bound.connection,
        name=held.lease.name,
        provider=held.lease.provider,
        lease=bound.lease,
        expires_at=bound.expires_at,
        credential=held.contents,
    )


def lines(listed: Sequence[Usable]) -> list[str]:
    """For people."""
    return [
        f"{each.connection}  {each.name}  {each.provider}  {each.state}  {','.join(each.modes)}" for each in listed
    ] or ["nothing: no policy lets this runtime know of a connection"]


def chosen(found: Got, field: str | None) -> str:
    """What is printed alone on a line.

    Raises:
        Misused: If it is not clear which.
    """
    its = found.credential
    secrets = {**({"access_token": its.access_token} if its.access_token else {}), **its.fields}
    if field is None and len(secrets) == 1:
        return next(iter(secrets.values()))
    name = field or "access_token"
    if name not in secrets:
        raise Misused(f"this credential has no field {name!r}", hint=f"--field {', '.join(secrets)}; or --json")
    return secrets[name]


def _credentials(post: Post, http: Http) -> Credentials:
    return Credentials(http, Tokens(http, post.home, post.identity, utc_now), utc_now)


def _not_had(error: Refused | Busy | Unreachable) -> NotHad:
    hint = "" if isinstance(error, Unreachable) else error.problem.hint
    return NotHad(str(error), hint=hint)
