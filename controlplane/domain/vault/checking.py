"""What has to be so in a provider's file beyond the types of its fields."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import structs

from controlplane.domain.vault.provider import LATE, VARIABLE, Provider, Shape, Variable

IN_HOSTS: Final[frozenset[Shape]] = frozenset({"label", "host", "shop", "snowflake"})
"""Shapes that can stand where an address names its host."""

HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
OURS: Final = frozenset({"access_token", "client_secret"})
"""What a header can hold besides facts of the account and what was typed in."""


def mistakes(provider: Provider) -> Iterator[str]:
    """Field, and what is wrong with it."""
    yield from _variables(provider)
    yield from _addresses(provider)
    yield from _places(provider)
    yield from _pairs(provider)
    yield from _dialect(provider)
    yield from _refreshing(provider)
    yield from _static(provider)
    yield from _headers(provider)
    yield from _taken(provider)


def _variables(provider: Provider) -> Iterator[str]:
    used = {name for url in (*_templates(provider).values(), *provider.api.hosts) for name in VARIABLE.findall(url)}
    for name, variable in provider.variables.items():
        where = f"variables.{name}"
        if not variable.choices and variable.shape is None:
            yield f"{where}: neither choices nor a shape: it would be anything"
        if variable.default is not None and not variable.fits(variable.default):
            yield f"{where}.default: does not fit"
        if variable.ends and variable.shape != "host":
            yield f"{where}.ends: only hosts end so"
        if variable.shape == "host" and not variable.ends and not variable.open:
            yield f"{where}.open: anybody's host, so it has to be open"
        if name not in used and provider.kind != "aws-role":
            yield f"{where}: no address has it"


def _addresses(provider: Provider) -> Iterator[str]:
    known = {*provider.variables, *LATE, *(provider.fields if provider.kind == "static" else ())}
    for field, url in _templates(provider).items():
        yield from (f"{field}: {{{name}}} comes from nowhere" for name in VARIABLE.findall(url) if name not in known)
        yield from (
            f"{field}: {{{name}}} cannot name a host"
            for name in VARIABLE.findall(urlsplit(url).netloc)
            if not _names_hosts(provider.variables.get(name))
        )


def _names_hosts(variable: Variable | None) -> bool:
    return variable is not None and (variable.shape is None or variable.shape in IN_HOSTS)


def _places(provider: Provider) -> Iterator[str]:
    if provider.own_urls or provider.kind == "static":
        yield from (f"urls.{name}: the app brings the addresses" for name in _urls(provider))
    elif not provider.urls.token:
        yield "urls.token: missing"
    elif provider.kind == "oauth2" and not provider.urls.authorize:
        yield "urls.authorize: missing"
    if (provider.verified.endpoints == "none") != provider.own_urls:
        yield "verified.endpoints: none, exactly where the app brings the addresses"


def _pairs(provider: Provider) -> Iterator[str]:
    """What comes together or not at all, except where the app brings the addresses."""
    dialect, urls = provider.dialect, provider.urls
    if provider.own_urls:
        return
    if (dialect.revoking is None) != (urls.revoke is None):
        yield "dialect.revoking: goes with urls.revoke"
    if dialect.lookup is not None and urls.lookup is None:
        yield "urls.lookup: missing"
    if urls.lengthen is not None and dialect.lengthening is None:
        yield "dialect.lengthening: goes with urls.lengthen"


def _dialect(provider: Provider) -> Iterator[str]:
    dialect = provider.dialect
    if provider.kind in ("oidc", "mcp") and dialect.asking.pkce != "required":
        yield "dialect.asking.pkce: required, where servers are strangers"
    if ("api_base" in _facts(provider)) != bool(dialect.answers.api_hosts):
        yield "dialect.answers.api_hosts: goes with the fact api_base"
    for number, rule in enumerate(dialect.errors.rules):
        if not (rule.code or rule.status or rule.detail):
            yield f"dialect.errors.rules[{number}]: fits everything"


def _refreshing(provider: Provider) -> Iterator[str]:
    refreshing = provider.dialect.refreshing
    if (refreshing.replay in ("grace", "until_used")) != (refreshing.grace_s is not None):
        yield "dialect.refreshing.grace_s: goes with replay = grace or until_used"
    if (refreshing.by == "access_token") != (refreshing.swap is not None):
        yield "dialect.refreshing.swap: goes with by = access_token"
    if provider.urls.refresh and refreshing.by not in ("refresh_token", "access_token"):
        yield "urls.refresh: nothing is refreshed"
    if (provider.kind == "app-installation") != ("installation" in provider.mints):
        yield "mints: installation, exactly where kind = app-installation"
    if provider.mints and provider.kind not in ("oauth2", "app-installation"):
        yield "mints: only where the token endpoint is known"
    if (provider.kind in ("app-installation", "aws-role")) != (refreshing.by == "minting"):
        yield "dialect.refreshing.by: minting, exactly where an app or a role mints"


def _static(provider: Provider) -> Iterator[str]:
    if (provider.kind == "static") != bool(provider.fields):
        yield "fields: what is typed in, exactly where kind = static"
    if provider.fields and not any(field.secret for field in provider.fields.values()):
        yield "fields: none is secret"
    if provider.kind != "static" and provider.test is not None:
        yield "test: only what is typed in is tried"


def _headers(provider: Provider) -> Iterator[str]:
    known = set(provider.fields) if provider.kind == "static" else OURS | _facts(provider)
    for name, value in provider.api.headers.items():
        if HEADER.fullmatch(name) is None:
            yield f"api.headers.{name}: no name of a header"
        yield from (
            f"api.headers.{name}: {{{each}}} comes from nowhere"
            for each in VARIABLE.findall(value)
            if each not in known
        )
    for name, value in provider.api.extra.items():
        if HEADER.fullmatch(name) is None or VARIABLE.search(value):
            yield f"api.extra.{name}: plain names and values only"
    for host in provider.api.hosts:
        if any(name not in provider.variables for name in VARIABLE.findall(host)):
            yield f"api.hosts: {host} comes from nowhere"


def _taken(provider: Provider) -> Iterator[str]:
    reserved = {each.lower() for each in ("Authorization", "Cookie", "Host", *provider.api.headers)}
    for name in provider.api.takes:
        if name.lower() in reserved:
            yield f"api.takes.{name}: is for the credential, or for nobody"


def _facts(provider: Provider) -> set[str]:
    """Names of all that is learned of an account."""
    lookup = provider.dialect.lookup
    return {*provider.dialect.answers.facts, *(lookup.facts if lookup else ())}


def _urls(provider: Provider) -> Mapping[str, str]:
    return {name: url for name, url in structs.asdict(provider.urls).items() if url}


def _templates(provider: Provider) -> dict[str, str]:
    """Every address, by its field."""
    found = {f"urls.{name}": url for name, url in _urls(provider).items()}
    return {**found, **({"test.url": provider.test.url} if provider.test else {})}
