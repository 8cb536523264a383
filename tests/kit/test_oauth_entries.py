"""Every entry of the catalogue goes all the way: consent, exchange, whose it is, refresh, revocation."""

from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from controlplane.domain.vault import catalogue
from controlplane.kit.oauth.authorizing import Asked, authorize_url, new_verifier
from controlplane.kit.oauth.dialect import Server
from controlplane.kit.oauth.granting import exchange, refresh
from controlplane.kit.oauth.looking_up import whose
from controlplane.kit.oauth.revoking import revoke
from tests.domain.test_provider_catalogue import sample
from tests.services.fake import APP, ID, SECRET, Fake, Reply, calling, running

ENTRIES = [each for each in catalogue.read().listing() if each.kind == "oauth2" and not each.own_urls]


class Obliging(Fake):
    """Says yes to everything, in the form that an entry says its service answers in."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.dialect = server.dialect

    def answer(self, asked):
        said = {"ok": True}
        for facts in (self.dialect.answers.facts, self.dialect.lookup.facts if self.dialect.lookup else {}):
            for name, paths in facts.items():
                put(said, paths[0], "https://made.up.example" if name == "api_base" else f"the {name}")
        said |= {self.dialect.answers.access: self.fresh("at"), "refresh_token": self.fresh("rt")}
        return Reply({**said, "expires_in": 3600, "scope": "one two"})


def put(said, path, value):
    """*value* at *path*, with what has to be on the way."""
    steps = path.split(".")
    for step, following in pairwise(steps):
        missing = [{}] if following.isdigit() else {}
        said = said.setdefault(step, missing) if isinstance(said, dict) else said[int(step)]
    said[steps[-1]] = value


def proof(asked, dialect):
    """Who the client said it is, as *dialect* says that it does."""
    if dialect.asking.auth == "basic":
        return asked.basic
    fields = asked.json if dialect.asking.body == "json" else asked.form
    return fields.get(dialect.asking.client_id), fields.get("client_secret")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda each: each.id)
async def test_an_entry_goes_all_the_way(entry, clock):
    caller, verifier = calling(clock), new_verifier()
    async with running(Obliging(entry.server(sample(entry)))) as service:
        server = service.here(entry.server(sample(entry)))
        code = service.consent(authorize_url(server, APP, Asked(state="s", verifier=verifier, scopes=("one",))))
        tokens = await exchange(caller, server, APP, code, verifier)
        first = service.asked[0]
        facts = await whose(caller, server, tokens)

        assert first.path == urlsplit(server.token).path
        assert proof(first, server.dialect) == (ID, SECRET)
        fields = first.json if server.dialect.asking.body == "json" else first.form
        assert service.redeemed(fields), "the code is for this address and this verifier"
        assert fields.items() >= server.dialect.asking.exchange.items()
        assert (tokens.scopes, tokens.expires_in_s) == (("one", "two"), 3600)
        assert not entry.dialect.answers.facts or facts
        assert "api_base" not in facts, "made.up.example is nobody's home"

        if (by := entry.dialect.refreshing.by) != "nothing":
            later = await refresh(caller, server, APP, tokens.refresh if by == "refresh_token" else tokens.access)
            assert service.asked[-1].path == urlsplit(server.refresh or server.token).path
            assert later.access.reveal() != tokens.access.reveal()

        outcome = await revoke(caller, server, APP, access=tokens.access, refresh=tokens.refresh, facts=facts)
        assert outcome == ("revoked" if entry.dialect.revoking else "impossible")


@pytest.mark.parametrize("entry", [each for each in ENTRIES if each.dialect.lookup or each.dialect.answers.facts])
def test_an_entry_that_knows_the_account_knows_it_by_that_name(entry):
    lookup = entry.dialect.lookup

    assert "account" in {*entry.dialect.answers.facts, *(lookup.facts if lookup else ())}
