"""Ten dialects, spoken with the entries of the catalogue against services that speak them over real HTTP."""

from datetime import timedelta

import pytest
from msgspec import structs

from controlplane.domain.vault import catalogue
from controlplane.kit.oauth.authorizing import Asked, authorize_url, new_verifier
from controlplane.kit.oauth.callbacks import CallbackRefused, code_of
from controlplane.kit.oauth.dialect import Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.granting import exchange, refresh
from controlplane.kit.oauth.installations import Narrowed, can_see, mint
from controlplane.kit.oauth.looking_up import whose
from controlplane.kit.oauth.revoking import revoke
from controlplane.kit.secret import Secret
from tests.services.dialects import (
    GitHub,
    GitHubApp,
    Glewlwyd,
    Mailchimp,
    Notion,
    Salesforce,
    Shopify,
    Slack,
    Strings,
    Xero,
)
from tests.services.fake import APP, ID, calling, running

KEYED = structs.replace(
    APP, secret=None, key=Secret(GitHubApp.KEY.as_pem(private=True).decode()), redirect_uri="", auth="key"
)
VERIFIER = new_verifier()


@pytest.fixture
def caller(clock):
    return calling(clock)


def entry(id_, **variables):
    return catalogue.read().get(id_).server(variables)


async def connected(caller, fake, server, scopes=("a",)):
    """What comes of somebody's consent."""
    code = fake.consent(authorize_url(server, APP, Asked(state="s", verifier=VERIFIER, scopes=scopes)))
    return await exchange(caller, server, APP, code, VERIFIER)


async def failing(awaitable):
    with pytest.raises(Failure) as failed:
        await awaitable
    return failed.value


async def test_of_a_bots_and_a_persons_token_the_bots_is_taken(caller):
    async with running(Slack()) as slack:
        slack.person = True
        tokens = await connected(caller, slack, slack.here(entry("slack")), scopes=("chat:write", "users:read"))

    assert tokens.access.reveal() == "xoxb-1"
    assert tokens.scopes == ("chat:write", "users:read")
    assert tokens.expires_in_s == 43200
    assert tokens.facts == {"account": "T1", "name": "Acme", "workspace": "T1", "user": "U1", "bot": "B1"}


async def test_a_token_that_is_nested_and_alone_is_found(caller):
    async with running(Slack()) as slack:
        slack.bot, slack.person = False, True
        tokens = await connected(caller, slack, slack.here(entry("slack")))

    assert (tokens.access.reveal(), tokens.scopes, tokens.expires_in_s) == ("xoxp-1", ("search:read",), None)


async def test_an_error_with_status_200_is_an_error(caller):
    async with running(Slack()) as slack, running(GitHub()) as github:
        one, other = slack.here(entry("slack")), github.here(entry("github-oauth"))
        first = await connected(caller, slack, one)
        await refresh(caller, one, APP, first.refresh)

        dead = await failing(refresh(caller, one, APP, first.refresh))
        wrong_code = await failing(exchange(caller, other, APP, "no-code", VERIFIER))
        wrong_secret = await failing(
            refresh(caller, other, structs.replace(APP, secret=Secret("old")), Secret("ghr_1"))
        )
        gone = await failing(refresh(caller, other, APP, Secret("ghr_1")))

    assert (dead.kind, dead.code, dead.status) == ("grant_dead", "invalid_refresh_token", 200)
    assert (wrong_code.kind, wrong_code.code) == ("grant_dead", "bad_verification_code")
    assert (wrong_secret.kind, wrong_secret.code) == ("app_fault", "incorrect_client_credentials")
    assert (gone.kind, gone.code) == ("grant_dead", "bad_refresh_token")


async def test_a_token_that_does_not_end_has_no_end(caller):
    async with running(GitHub()) as github, running(Mailchimp()) as mailchimp:
        one, other = github.here(entry("github-oauth")), mailchimp.here(entry("mailchimp"))
        silent = await connected(caller, github, one, scopes=("repo", "gist"))
        zero = await connected(caller, mailchimp, other)
        facts = await whose(caller, other, zero)

    assert (silent.expires_in_s, silent.scopes, silent.type) == (None, ("repo", "gist"), "Bearer")
    assert (zero.expires_in_s, zero.scopes) == (None, None)
    assert facts["api_base"] == "https://us6.api.mailchimp.com"
    assert (facts["account"], facts["email"]) == ("7", "a@acme.example")


async def test_a_lifetime_can_be_text_and_scopes_a_list(caller):
    async with running(Strings()) as strings:
        tokens = await exchange(caller, Server(token=f"{strings.url}/token"), APP, "code", VERIFIER)

    assert (tokens.expires_in_s, tokens.refresh_expires_in_s) == (3599, 7776000)
    assert tokens.scopes == ("read", "write")


async def test_json_with_basic(caller):
    async with running(Notion()) as notion:
        server = notion.here(entry("notion"))
        first = await connected(caller, notion, server)
        second = await refresh(caller, server, APP, first.refresh)
        dead = await failing(refresh(caller, server, APP, first.refresh))
        outcome = await revoke(caller, server, APP, access=second.access, refresh=second.refresh)

    assert first.facts == {"account": "w-1", "name": "Acme", "bot": "b-1", "user": "u-1"}
    assert (first.expires_in_s, second.access.reveal()) == (None, "ntn-3")
    assert (dead.kind, outcome) == ("grant_dead", "revoked")


async def test_a_shop_has_its_own_address_and_its_callback_is_signed(caller):
    own = entry("shopify", shop="acme.myshopify.com")
    assert own.token == "https://acme.myshopify.com/admin/oauth/access_token"
    async with running(Shopify()) as shopify:
        server = shopify.here(own)
        code = shopify.consent(authorize_url(server, APP, Asked(state="s", verifier=VERIFIER, scopes=("read_orders",))))
        query = shopify.callback(code, "s")

        assert code_of(own, APP, query) == code
        first = await exchange(caller, server, APP, code, VERIFIER)
        facts = await whose(caller, server, first)

    assert (first.expires_in_s, first.refresh_expires_in_s, facts["account"]) == (3600, 7776000, "1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda query: [*query[:-1], ("hmac", "0" * 64)], "signature"),
        (lambda query: query[:-1], "signature"),
        (lambda query: [("code", "another"), *query[1:]], "signature"),
        (lambda query: [*query, ("extra", "1")], "signature"),
        (lambda query: [*query, query[0]], "repeated"),
    ],
)
def test_a_callback_whose_signature_does_not_hold_is_refused(change, why):
    own = entry("shopify", shop="acme.myshopify.com")

    with pytest.raises(CallbackRefused) as refused:
        code_of(own, APP, change(Shopify().callback("code", "s")))

    assert refused.value.why == why


def test_a_callback_of_another_shop_is_refused_though_it_is_signed():
    own = entry("shopify", shop="acme.myshopify.com")

    with pytest.raises(CallbackRefused, match="elsewhere"):
        code_of(own, APP, Shopify().callback("code", "s", shop="other.myshopify.com"))


async def test_until_its_successor_is_used_a_refresh_token_can_be_sent_again(caller):
    async with running(Shopify()) as shopify:
        server = shopify.here(entry("shopify", shop="acme.myshopify.com"))
        first = await connected(caller, shopify, server)
        await refresh(caller, server, APP, first.refresh)

        again = await refresh(caller, server, APP, first.refresh)
        await refresh(caller, server, APP, again.refresh)
        over = await failing(refresh(caller, server, APP, first.refresh))

    assert server.dialect.refreshing.replay == "until_used"
    assert over.kind == "grant_dead"


async def test_where_the_api_is_comes_with_every_answer_and_is_at_home_or_left_out(caller):
    async with running(Salesforce()) as salesforce:
        server = salesforce.here(entry("salesforce"))
        first = await connected(caller, salesforce, server)
        salesforce.instance = "https://other.my.salesforce.com"
        second = await refresh(caller, server, APP, first.refresh)
        salesforce.instance = "https://acme.my.salesforce.com.evil.example"
        third = await refresh(caller, server, APP, first.refresh)

    assert (first.facts["api_base"], first.expires_in_s) == ("https://acme.my.salesforce.com", 7200)
    assert (second.facts["api_base"], second.refresh) == ("https://other.my.salesforce.com", None)
    assert "api_base" not in third.facts


async def test_two_refreshes_at_once_are_a_race_and_no_dead_grant(caller):
    async with running(Salesforce()) as salesforce:
        server = salesforce.here(entry("salesforce"))
        salesforce.racing = True

        race = await failing(refresh(caller, server, APP, Secret("5Aep")))
        dead = await failing(exchange(caller, server, APP, "code", VERIFIER))

    assert (race.kind, race.code, dead.kind) == ("transient", "invalid_grant", "grant_dead")


async def test_an_empty_answer_to_a_dead_token_says_neither_yes_nor_no(caller):
    async with running(Glewlwyd()) as glewlwyd:
        server = Server(token=f"{glewlwyd.url}/token", authorize=f"{glewlwyd.url}/auth")
        first = await connected(caller, glewlwyd, server)
        await refresh(caller, server, APP, first.refresh)

        unclear = await failing(refresh(caller, server, APP, first.refresh))
        wrong = await failing(exchange(caller, server, APP, "no-code", VERIFIER))

    assert (first.type, unclear.kind, unclear.code, unclear.status) == ("Bearer", "malformed", "empty", 400)
    assert (wrong.kind, wrong.code, wrong.status) == ("grant_dead", "invalid_code", 403)


async def test_an_app_mints_for_an_installation_with_its_key(caller, clock):
    async with running(GitHubApp(clock)) as github:
        server = github.here(entry("github-app", app_slug="acme", installation_id="42"))
        whole = await mint(caller, server, KEYED)
        less = await mint(caller, server, KEYED, Narrowed(repositories=("cloud",), permissions={"contents": "read"}))
        first = await revoke(caller, server, KEYED, access=less.access, refresh=None)
        again = await revoke(caller, server, KEYED, access=less.access, refresh=None)

    assert (whole.access.reveal(), whole.refresh, whole.expires_in_s) == ("ghs-1", None, 3600)
    assert github.asked[0].body == b""
    assert github.asked[1].json == {"repositories": ["cloud"], "permissions": {"contents": "read"}}
    assert (first, again) == ("revoked", "already")


@pytest.mark.parametrize(("installation", "kind"), [("99", "grant_dead"), ("43", "needs_person")])
async def test_an_installation_that_is_gone_or_suspended_says_so(caller, clock, installation, kind):
    async with running(GitHubApp(clock)) as github:
        server = github.here(entry("github-app", app_slug="acme", installation_id=installation))

        assert (await failing(mint(caller, server, KEYED))).kind == kind


async def test_a_key_that_is_none_is_the_apps_fault_and_nobody_is_asked(caller, clock):
    async with running(GitHubApp(clock)) as github:
        server = github.here(entry("github-app", app_slug="acme", installation_id="42"))
        failed = await failing(mint(caller, server, structs.replace(KEYED, key=Secret("no key"))))

    assert (failed.kind, failed.code, failed.sent, github.asked) == ("app_fault", "private-key", False, [])


async def test_an_installation_belongs_to_whoever_can_see_it(caller, clock):
    async with running(GitHubApp(clock)) as github:
        server = github.here(entry("github-app", app_slug="acme", installation_id="42"))

        assert await can_see(caller, server, Secret("user-token"), "42")
        assert not await can_see(caller, server, Secret("user-token"), "43")
        assert (await failing(can_see(caller, server, Secret("stolen"), "42"))).kind == "app_fault"


async def test_an_installation_among_hundreds_is_seen(caller, clock):
    async with running(GitHubApp(clock)) as github:
        github.seen_by["user-token"] = list(range(1000, 1250))
        server = github.here(entry("github-app", app_slug="acme", installation_id="42"))

        assert await can_see(caller, server, Secret("user-token"), "1249")
        assert not await can_see(caller, server, Secret("user-token"), "42")


async def test_within_its_grace_a_used_refresh_token_brings_new_ones(caller, clock):
    async with running(Xero(clock)) as xero:
        server = xero.here(entry("xero"))
        first = await connected(caller, xero, server)
        lost = await refresh(caller, server, APP, first.refresh)
        clock.forward(timedelta(seconds=server.dialect.refreshing.grace_s))

        saved = await refresh(caller, server, APP, first.refresh)
        clock.forward(timedelta(seconds=1))
        over = await failing(refresh(caller, server, APP, first.refresh))
        outcome = await revoke(caller, server, APP, access=saved.access, refresh=saved.refresh)

    assert lost.refresh.reveal() != saved.refresh.reveal()
    assert (saved.expires_in_s, over.kind, outcome) == (1800, "grant_dead", "revoked")


async def test_what_is_revoked_goes_as_the_service_wants_it(caller):
    async with running(GitHub()) as github, running(Salesforce()) as salesforce, running(Slack()) as slack:
        token = Secret("gho-1")
        outcomes = [
            await revoke(caller, github.here(entry("github-oauth")), APP, access=token, refresh=None),
            await revoke(caller, salesforce.here(entry("salesforce")), APP, access=token, refresh=Secret("5Aep")),
            await revoke(caller, slack.here(entry("slack")), APP, access=token, refresh=Secret("xoxe")),
            await revoke(caller, entry("spotify"), APP, access=token, refresh=None),
        ]
        github.used.add("gho-1")
        again = await revoke(caller, github.here(entry("github-oauth")), APP, access=token, refresh=None)

    assert (outcomes, again) == (["revoked", "revoked", "revoked", "impossible"], "already")
    assert github.asked[0].path == f"/applications/{ID}/token"
    assert salesforce.asked[0].form == {"token": "5Aep"}
    assert (slack.asked[0].bearer, slack.asked[0].body) == ("gho-1", b"")
