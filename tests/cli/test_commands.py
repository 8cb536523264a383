"""Commands beside a running ``up`` of the same home."""

import json
import re

import httpx
import pyotp
import pytest

from tests.programs import agent, command, controlplane, said, told

LISTS = [["tenant", "list"], ["operator", "list"], ["api-key", "list", "--tenant", "acme"]]
LISTS += [["join-token", "list", "--tenant", "acme"], ["tenant", "show", "acme"], ["db", "check"], ["doctor"]]


@pytest.fixture(scope="module", autouse=True)
def acme(running, shared_home):
    return said(shared_home, "tenant", "create", "acme", "--name", "Acme", "--owner", "ann@example.com")


def test_a_created_tenants_id_stands_alone_on_a_line(acme, shared_home):
    assert re.fullmatch(r"ten_[0-9a-z]{26}", acme)
    assert json.loads(told(shared_home, "tenant", "show", "acme", "--json"))["id"] == acme


def test_a_created_key_opens_the_api_at_once_and_no_longer_when_it_is_revoked(running, shared_home):
    made = json.loads(told(shared_home, "api-key", "create", "--tenant", "acme", "--name", "ci", "--json"))
    bearer = {"Authorization": f"Bearer {made['key']}"}
    assert running.get("/v1/tenants/acme", headers=bearer).json()["slug"] == "acme"

    told(shared_home, "api-key", "revoke", made["id"], "--tenant", "acme")

    assert running.get("/v1/tenants/acme", headers=bearer).status_code == 401


def test_keys_and_tokens_stand_alone_on_a_line(shared_home):
    key = said(shared_home, "api-key", "create", "--tenant", "acme", "--name", "ci", "--expires", "2d")
    token = said(shared_home, "join-token", "create", "--tenant", "acme", "--ttl", "15m", "--uses", "3")

    assert re.fullmatch(r"ec_sk_[0-9A-Za-z]{36}", key)
    assert re.fullmatch(r"ec_jt_[0-9A-Za-z]{36}", token)


def test_a_revoked_join_token_is_shown_as_such_and_never_with_its_secret(shared_home):
    made = json.loads(told(shared_home, "join-token", "create", "--tenant", "acme", "--json"))
    told(shared_home, "join-token", "revoke", made["id"], "--tenant", "acme")

    listed = told(shared_home, "join-token", "list", "--tenant", "acme", "--json")

    [mine] = [token for token in json.loads(listed)["data"] if token["id"] == made["id"]]
    assert mine["state"] == "revoked"
    assert made["token"] not in listed


def test_the_link_of_a_new_operator_names_the_server_and_hides_the_token_in_the_fragment(running, shared_home):
    link = told(shared_home, "operator", "create", "bob@example.com")

    assert re.fullmatch(re.escape(running.url) + r"/console/welcome#[\w-]{43}", link)


def test_an_operator_with_a_password_signs_in_with_it(running, shared_home):
    password = "four unrelated words here"
    made = said(shared_home, "operator", "create", "eve@example.com", "--password-stdin", stdin=password + "\n")
    assert made.startswith("acc_")

    with httpx.Client(base_url=running.url, headers={"Origin": running.url}) as browser:
        browser.post("/v1/auth/sign-in", json={"email": "eve@example.com", "password": password}).raise_for_status()
        assert browser.get("/v1/me").json()["email"] == "eve@example.com"


def test_a_suspended_tenant_is_served_again_after_resume(running, shared_home):
    told(shared_home, "tenant", "create", "dormant", "--name", "Dormant")
    key = told(shared_home, "api-key", "create", "--tenant", "dormant", "--name", "ci")
    bearer = {"Authorization": f"Bearer {key}"}

    told(shared_home, "tenant", "suspend", "dormant", "--reason", "asked to")
    assert running.get("/v1/tenants/dormant", headers=bearer).json()["code"] == "tenant-suspended"

    told(shared_home, "tenant", "resume", "dormant")
    assert running.get("/v1/tenants/dormant", headers=bearer).status_code == 200


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_json_is_one_document_and_nothing_else(shared_home, words):
    done = command(shared_home, *words, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    json.loads(done.stdout)


REFUSED = [
    (["tenant", "create", "acme", "--name", "Again"], "slug exists"),
    (["tenant", "create", "No Slug", "--name", "Bad"], "cannot be a tenant's slug"),
    (["tenant", "show", "nobody"], "no tenant 'nobody'"),
    (["api-key", "create", "--tenant", "acme", "--name", "x", "--role", "king"], "no such role"),
    (["api-key", "create", "--tenant", "acme", "--name", "x", "--expires", "9999w"], "cannot last that long"),
    (["api-key", "revoke", "key_1", "--tenant", "acme"], "'key_1' is no id"),
    (["join-token", "create", "--tenant", "acme", "--project", "nothing"], "no such thing"),
    (["operator", "create", "nonsense"], "not an e-mail address"),
    (["tenant", "sign-in-link", "acme", "stranger@example.com"], "nobody with the address"),
]


@pytest.mark.parametrize(("words", "what"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_refusal_goes_to_stderr_with_its_hint_and_status_1(shared_home, words, what):
    done = command(shared_home, *words)

    assert (done.returncode, done.stdout) == (1, "")
    [said_first, hint] = done.stderr.splitlines()
    assert what in said_first
    assert hint


def test_a_refusal_as_json_is_one_document_too(shared_home):
    done = controlplane(shared_home, "tenant", "create", "acme", "--name", "Again", "--json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["code"] == "tenant-slug-taken"


def test_wrong_usage_has_status_2(shared_home):
    done = controlplane(shared_home, "api-key", "create", "--tenant", "acme", "--name", "x", "--expires", "3 years")

    assert done.returncode == 2
    assert "90d" in done.stderr


def test_a_tenants_owner_gets_a_link_of_their_own_and_stdout_stays_the_id(running, shared_home):
    done = controlplane(shared_home, "tenant", "create", "birch", "--name", "Birch", "--owner", "bea@example.com")

    assert re.fullmatch(r"ten_[0-9a-z]{26}\n", done.stdout)
    assert re.search(re.escape(running.url) + r"/console/welcome#[\w-]{43}", done.stderr)


def test_somebody_of_a_tenant_gets_a_new_link_to_sign_in(running, shared_home):
    link = told(shared_home, "tenant", "sign-in-link", "acme", "Ann@Example.com")

    with httpx.Client(base_url=running.url, headers={"Origin": running.url}) as browser:
        browser.post("/v1/auth/link", json={"token": link.partition("#")[2]}).raise_for_status()
        assert browser.get("/v1/me").json()["email"] == "ann@example.com"


def test_who_has_lost_an_authenticator_app_gets_in_without_it(running, shared_home):
    with httpx.Client(base_url=running.url, headers={"Origin": running.url}) as browser:
        link = told(shared_home, "tenant", "sign-in-link", "acme", "ann@example.com")
        browser.post("/v1/auth/link", json={"token": link.partition("#")[2]}).raise_for_status()
        seed = browser.post("/v1/me/totp").json()["secret"]
        browser.post("/v1/me/totp/confirm", json={"code": pyotp.TOTP(seed).now()}).raise_for_status()

    half = told(shared_home, "tenant", "sign-in-link", "acme", "ann@example.com")
    whole = told(shared_home, "tenant", "sign-in-link", "acme", "ann@example.com", "--forget-factors")

    with httpx.Client(base_url=running.url, headers={"Origin": running.url}) as browser:
        answers = [browser.post("/v1/auth/link", json={"token": link.partition("#")[2]}) for link in (half, whole)]
    assert answers[0].json()["code"] == "sign-in-link-invalid"  # forgetting ends the links that there were
    assert answers[1].status_code == 204


def test_a_runtime_is_asked_from_the_shell_and_the_receipt_is_listed(running, shared_home, tmp_path):
    token = told(shared_home, "join-token", "create", "--tenant", "acme")
    (tmp_path / "engine").mkdir()
    words = ("join", running.url, "--token-stdin", "--source", f"engine:{tmp_path / 'engine'}", "--json")
    joined = agent(tmp_path / "agent", *words, stdin=token)
    assert joined.returncode == 0, joined.stderr
    runtime = json.loads(joined.stdout)["id"]

    asked = told(shared_home, "command", "send", "rescan", runtime, "--tenant", "acme")
    told(shared_home, "command", "withdraw", asked, "--tenant", "acme")

    assert re.fullmatch(r"cmd_[0-9a-z]{26}", asked)
    [listed] = json.loads(told(shared_home, "command", "list", "--tenant", "acme", "--json"))["data"]
    assert (listed["id"], listed["state"], listed["code"]) == (asked, "superseded", "withdrawn")
    words = ("command", "collect-logs", runtime, "--tenant", "acme", "--json")
    collecting = json.loads(told(shared_home, *words, "--log", "raw", "--since", "24h"))
    assert (collecting["kind"], collecting["logs"], collecting["bundle"]) == ("collect-logs", ["raw"], None)
    assert "since when" in command(shared_home, *words).stderr
    refused = command(shared_home, "command", "send", "pause", runtime, "--tenant", "acme")
    assert refused.returncode == 1
    assert "ses_" in refused.stderr
