"""The catalogue: every entry is whole, says what is verified, and a broken one stops the start with its place."""

import re

import msgspec
import pytest
from msgspec import structs

from controlplane.domain.vault import catalogue
from controlplane.domain.vault.catalogue import Catalogue, CatalogueBroken
from controlplane.domain.vault.provider import SHAPES, VariableRefused
from controlplane.kit.guard import Guard
from controlplane.kit.oauth.authorizing import Asked, authorize_url, new_verifier
from controlplane.kit.oauth.dialect import Server
from controlplane.kit.problems import NotFound
from tests.services.fake import APP

PROVIDERS = catalogue.read().listing()
SAMPLES = {
    "label": "acme",
    "host": "login.acme.example",
    "shop": "acme.myshopify.com",
    "snowflake": "acme-1.eu.snowflakecomputing.com",
    "directory": "acme.example",
    "number": "42",
    "slug": "acme-app",
    "name": "default",
    "role-arn": "arn:aws:iam::123456789012:role/reader",
}
ELSEWHERE = [
    *("evil.example/", "evil.example#", "evil.example?", "a@evil.example", "evil.example:8443", "evil.example\\", ""),
    *("..", "a..b", "169.254.169.254", "[::1]", "a b.example", "evil.example\n", "évil.example", "{host}"),
    *("-a.example", "a-.example", "%2e%2e", "a" * 300 + ".example", "evil.example%00"),
]

PLAIN = """
name = "Acme"
kind = "oauth2"
category = "work"
verified = { endpoints = "doc", behavior = "doc", on = "2026-11" }

[urls]
authorize = "https://acme.example/authorize"
token = "https://acme.example/token"
"""


def sample(provider):
    """Good values for its variables."""
    return {
        name: variable.default
        if variable.default is not None
        else variable.choices[0]
        if variable.choices
        else SAMPLES[variable.shape]
        for name, variable in provider.variables.items()
    }


def broken(tmp_path, text):
    (tmp_path / "acme.toml").write_text(text)
    with pytest.raises(CatalogueBroken) as error:
        catalogue.read.__wrapped__(tmp_path)
    return str(error.value)


def test_there_are_all_that_were_gathered_and_the_generic_ones():
    names = {each.id for each in PROVIDERS}

    assert len(PROVIDERS) == 59
    assert names >= {"google", "microsoft", "slack", "github-app", "aws-role", "generic-oauth2", "generic-oidc"}
    assert names >= {"mcp-remote", "generic-api-key", "generic-basic", "generic-bearer", "generic-custom", "secret"}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.id)
def test_an_entry_is_whole(provider):
    variables = sample(provider)
    server = provider.server(variables)
    addresses = [value for value in structs.asdict(server).values() if isinstance(value, str) and value]

    assert provider.verified.on >= "2026-11"
    assert all(Guard().check(each.replace("{client_id}", "id")) for each in addresses), addresses
    assert not [each for each in addresses if re.search(r"[{}]", each.replace("{client_id}", ""))]
    assert all(re.fullmatch(SHAPES[name], value) for name, value in SAMPLES.items())
    assert msgspec.convert(msgspec.to_builtins(provider), type(provider)) == provider


@pytest.mark.parametrize("provider", [each for each in PROVIDERS if each.urls.authorize], ids=lambda each: each.id)
def test_an_address_to_consent_at_has_what_its_entry_says(provider):
    server = provider.server(sample(provider))
    asking = provider.dialect.asking

    url = authorize_url(server, APP, Asked(state="st", verifier=new_verifier(), scopes=("one", "two")))

    assert url.startswith(server.authorize)
    assert ("code_challenge=" in url) == (asking.pkce != "off")
    assert ("scope=" in url) == (asking.scopes == "asked")
    assert f"{asking.client_id}={APP.id}" in url
    assert all(f"{name}=" in url for name in asking.authorize)


@pytest.mark.parametrize(
    ("provider", "name"),
    [(each, name) for each in PROVIDERS for name in each.variables],
    ids=lambda each: getattr(each, "id", each),
)
@pytest.mark.parametrize("value", ELSEWHERE)
def test_no_value_of_a_variable_leads_elsewhere(provider, name, value):
    if value in provider.variables[name].choices:
        return
    with pytest.raises(VariableRefused) as refused:
        provider.server({**sample(provider), name: value})

    assert refused.value.facts() == {"variable": name}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.0.0.1", "0x7f.1", "1.1.1.1", "acme", "acme.example."])
def test_a_host_is_a_name_with_a_dot(host):
    with pytest.raises(VariableRefused):
        catalogue.read().get("gitlab").server({"host": host})


def test_variables_are_named_and_none_is_missing():
    shopify = catalogue.read().get("shopify")

    for given in ({}, {"shop": "acme.myshopify.com", "host": "acme.example"}):
        with pytest.raises(VariableRefused):
            shopify.server(given)


def test_a_host_of_the_tenants_choosing_goes_with_the_tenants_own_app():
    gitlab, salesforce, okta = (catalogue.read().get(each) for each in ("gitlab", "salesforce", "okta"))

    assert not gitlab.needs_own_app({})
    assert not gitlab.needs_own_app({"host": "gitlab.com"})
    assert gitlab.needs_own_app({"host": "git.acme.example"})
    assert not salesforce.needs_own_app({"host": "acme.my.salesforce.com"})
    assert okta.needs_own_app({"org": "acme.okta.com"})
    assert catalogue.read().get("generic-oauth2").needs_own_app({})


def test_a_domain_of_salesforce_is_salesforces():
    salesforce = catalogue.read().get("salesforce")

    assert salesforce.server({"host": "acme.my.salesforce.com"}).token.startswith("https://acme.my.salesforce.com/")
    for host in ("acme.example", "my.salesforce.com.evil.example", ".my.salesforce.com"):
        with pytest.raises(VariableRefused):
            salesforce.server({"host": host})


def test_a_plain_entry_is_taken_as_the_specifications_say(tmp_path):
    (tmp_path / "acme.toml").write_text(PLAIN)

    [acme] = catalogue.read.__wrapped__(tmp_path).listing()

    assert acme.server() == Server(token="https://acme.example/token", authorize="https://acme.example/authorize")
    assert acme.dialect.refreshing.replay == "unknown"


def test_what_is_not_in_the_catalogue_is_not_found():
    with pytest.raises(NotFound):
        Catalogue([]).get("google")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (("name =", "nom ="), "`nom`"),
        (('kind = "oauth2"', 'kind = "oauth3"'), "$.kind"),
        (('"2026-11"', '"yesterday"'), "$.verified.on"),
        (('endpoints = "doc"', 'endpoints = "surely"'), "$.verified.endpoints"),
        (("https://acme.example/token", "http://acme.example/token"), "$.urls.token"),
        (("[urls]", "[urls"), "acme.toml"),
        (('token = "https://acme.example/token"', ""), "urls.token"),
        (('authorize = "https://acme.example/authorize"', ""), "urls.authorize"),
        (("acme.example/token", "{shop}/token"), "urls.token: {shop} comes from nowhere"),
        (("[urls]", "[urls]\nrevoke = 'https://acme.example/r'"), "dialect.revoking"),
        (("[urls]", "[dialect.revoking]\n[urls]"), "dialect.revoking"),
        (
            ("[urls]", "[dialect.refreshing]\nby = 'nothing'\n[urls]\nrefresh = 'https://acme.example/r'"),
            "urls.refresh",
        ),
        (("[urls]", "[dialect.lookup]\n[urls]"), "urls.lookup"),
        (("[urls]", "[urls]\nlengthen = 'https://acme.example/l'"), "dialect.lengthening"),
        (("[urls]", "[dialect.refreshing]\nreplay = 'grace'\n[urls]"), "dialect.refreshing.grace_s"),
        (("[urls]", "[dialect.refreshing]\nby = 'access_token'\n[urls]"), "dialect.refreshing.swap"),
        (("[urls]", "[dialect.refreshing]\nby = 'minting'\n[urls]"), "dialect.refreshing.by"),
        (("[urls]", "[dialect.refreshing]\nretries = 3\n[urls]"), "$.dialect.refreshing"),
        (("[urls]", "[[dialect.errors.rules]]\nkind = 'transient'\nsays = 'x'\n[urls]"), "rules[0]"),
        (("[urls]", "[[dialect.errors.rules]]\nkind = 'odd'\ncode = 'x'\n[urls]"), "rules[0].kind"),
        (("[urls]", "[dialect.answers]\nfacts = { api_base = ['url'] }\n[urls]"), "api_hosts"),
        (("[urls]", "[dialect.answers]\naccess = 'a token'\n[urls]"), "$.dialect.answers.access"),
        (("[urls]", "[dialect.answers]\nfacts = { account = ['a b'] }\n[urls]"), "$.dialect.answers.facts"),
        (("[urls]", "[variables.shop]\ntitle = 'Shop'\n[urls]"), "variables.shop: neither"),
        (("[urls]", "[variables.shop]\ntitle = 'Shop'\nshape = 'shop'\n[urls]"), "variables.shop: no address"),
        (("[urls]", "[variables.shop]\ntitle = 'Shop'\nshape = 'any'\n[urls]"), "$.variables"),
        (("[urls]", "[variables.h]\ntitle = 'H'\nshape = 'host'\n[urls]"), "variables.h.open"),
        (("[urls]", "[variables.h]\ntitle = 'H'\nshape = 'label'\nends = ['x']\n[urls]"), "variables.h.ends"),
        (("[urls]", "[variables.h]\ntitle = 'H'\nchoices = ['x']\ndefault = 'y'\n[urls]"), "variables.h.default"),
        (("[urls]", "[api]\nheaders = { 'X Y' = 'z' }\n[urls]"), "api.headers.X Y"),
        (("[urls]", "[api]\nheaders = { X = '{refresh_token}' }\n[urls]"), "api.headers.X: {refresh_token}"),
        (("[urls]", "[api]\nextra = { X = '{access_token}' }\n[urls]"), "api.extra.X"),
        (("[urls]", "[api]\nhosts = ['{shop}']\n[urls]"), "api.hosts"),
        (("[urls]", "[api]\nhosts = ['https://acme.example']\n[urls]"), "$.api.hosts"),
        (("[urls]", "[fields.key]\ntitle = 'Key'\n[urls]"), "fields"),
        (("[urls]", "[test]\nurl = 'https://acme.example/me'\n[urls]"), "test"),
        (('category = "work"', 'category = "work"\nown_urls = true'), "urls.authorize: the app brings"),
        (('endpoints = "doc"', 'endpoints = "none"'), "verified.endpoints"),
        (('kind = "oauth2"', 'kind = "oidc"'), "dialect.asking.pkce"),
        (('kind = "oauth2"', 'kind = "static"'), "urls.authorize"),
    ],
)
def test_a_broken_entry_is_named_with_its_field(tmp_path, change, place):
    text = PLAIN.replace(*change)
    assert text != PLAIN

    said = broken(tmp_path, text)

    assert said.startswith("acme.toml: ")
    assert place in said


@pytest.mark.parametrize(
    ("shape", "where"), [("number", "https://{v}.acme.example/t"), ("name", "https://{v}/t"), ("slug", "https://{v}/t")]
)
def test_only_what_is_a_host_can_stand_for_one(tmp_path, shape, where):
    text = PLAIN.replace("[urls]", f"[variables.v]\ntitle = 'V'\nshape = '{shape}'\n[urls]")

    assert "cannot name a host" in broken(tmp_path, text.replace("https://acme.example/token", where))


def test_a_static_entry_has_something_secret(tmp_path):
    text = """
name = "Acme"
kind = "static"
category = "work"
verified = { endpoints = "doc", behavior = "doc", on = "2026-11" }
[fields.user]
title = "User"
secret = false
[api]
headers = { X-User = "{user}" }
"""
    assert "none is secret" in broken(tmp_path, text)
