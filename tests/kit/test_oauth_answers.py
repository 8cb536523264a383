"""What answers say: which kind of no, and what a yes gives, in every form that is met."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kit.guard import Answer
from controlplane.kit.oauth.dialect import Answers, Dialect, Errors, Rule
from controlplane.kit.oauth.failures import KINDS, Failure
from controlplane.kit.oauth.judging import said
from controlplane.kit.oauth.tokens import Tokens, tokens
from tests.services.fake import Reply

GOOD = {"access_token": "at", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt"}


def answered(body, status=200, **headers):
    reply = Reply(body, status)
    given = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    written = reply.written().partition(b"\r\n\r\n")[2]
    return Answer(status=status, headers=given, body=written, cut=False)


def read(answer, dialect=None):
    dialect = dialect or Dialect()
    return tokens(answer, said(answer, dialect), dialect.answers)


def failed(answer, dialect=None):
    with pytest.raises(Failure) as failure:
        read(answer, dialect)
    return failure.value


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "invalid_grant"}, "grant_dead"),
        (401, {"error": "invalid_grant"}, "grant_dead"),
        (403, {"error": "invalid_grant"}, "grant_dead"),
        (200, {"error": "invalid_grant"}, "grant_dead"),
        (500, {"error": "invalid_grant"}, "transient"),
        (503, {"error": "invalid_grant"}, "transient"),
        (502, {"error": "invalid_grant"}, "maybe_sent"),
        (504, b"", "maybe_sent"),
        (429, {"error": "invalid_grant"}, "throttled"),
        (429, b"<html>", "throttled"),
        (408, b"", "transient"),
        (400, {"error": "interaction_required"}, "needs_person"),
        (400, {"error": "invalid_grant", "suberror": "consent_required"}, "needs_person"),
        (401, {"error": "invalid_client"}, "app_fault"),
        (400, {"error": "unauthorized_client"}, "app_fault"),
        (400, {"error": "invalid_scope"}, "request_fault"),
        (400, {"error": "unsupported_grant_type"}, "request_fault"),
        (400, {"error": "something_else"}, "malformed"),
        (400, {"error": {"code": "invalid_grant"}}, "grant_dead"),
        (400, {"message": "invalid_grant"}, "malformed"),
        (400, {"error_description": "invalid_grant: the token is dead"}, "malformed"),
        (302, {"error": "invalid_grant"}, "malformed"),
        (302, b"<html>", "malformed"),
        (404, {}, "malformed"),
        (400, {"error": 17}, "malformed"),
        (400, {"error": None}, "malformed"),
    ],
)
def test_a_no_is_told_by_status_and_code(status, body, kind):
    failure = failed(answered(body, status))

    assert (failure.kind, failure.status, failure.sent) == (kind, status, True)


def test_a_rule_of_the_servers_comes_before_what_a_code_means_elsewhere():
    rules = (
        Rule(status=403, code="unauthorized_client", kind="grant_dead"),
        Rule(code="Access Denied", kind="throttled"),
        Rule(code="invalid_grant", says="in progress", kind="transient"),
        Rule(detail="7000222", kind="app_fault"),
    )
    dialect = Dialect(errors=Errors(rules=rules))

    assert failed(answered({"error": "unauthorized_client"}, 403), dialect).kind == "grant_dead"
    assert failed(answered({"error": "unauthorized_client"}, 401), dialect).kind == "app_fault"
    assert failed(answered({"error": "Access Denied"}, 200), dialect).code == "Access_Denied"
    racing = {"error": "invalid_grant", "error_description": "A refresh is IN PROGRESS"}
    assert failed(answered(racing, 400), dialect).kind == "transient"
    assert failed(answered({"error": "invalid_grant", "error_codes": [7000222]}, 400), dialect).kind == "app_fault"


@pytest.mark.parametrize("ok", [False, None, "true", 1])
def test_where_an_answer_says_whether_it_is_a_yes_all_else_is_a_no(ok):
    failure = failed(answered({**GOOD, "ok": ok}), Dialect(errors=Errors(ok="ok")))

    assert (failure.kind, failure.code) == ("malformed", "no-code")


def test_a_rule_without_a_status_says_nothing_about_the_servers_own_trouble():
    dialect = Dialect(errors=Errors(rules=(Rule(code="gone", kind="grant_dead"),)))

    kinds = [failed(answered({"error": "gone"}, status), dialect).kind for status in (400, 200, 500, 429)]

    assert kinds == ["grant_dead", "grant_dead", "transient", "throttled"]


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait_s"),
    [
        (429, {"retry_after": "30"}, "throttled", 30),
        (503, {"retry_after": "120"}, "throttled", 120),
        (503, {}, "transient", None),
        (429, {"retry_after": "soon"}, "throttled", None),
        (429, {"retry_after": "-5"}, "throttled", None),
        (429, {"retry_after": "99999999"}, "throttled", 604800),
        (429, {"retry_after": "9" * 400}, "throttled", None),
    ],
)
def test_how_long_to_wait_is_said_in_seconds(status, headers, kind, wait_s):
    failure = failed(answered({}, status, **headers))

    assert (failure.kind, failure.retry_after_s) == (kind, wait_s)


def test_how_long_to_wait_can_be_a_date_by_the_servers_own_clock():
    now = datetime(2031, 5, 1, tzinfo=UTC)
    dates = {"date": format_datetime(now), "retry_after": format_datetime(now + timedelta(seconds=90))}

    assert failed(answered({}, 429, **dates)).retry_after_s == 90
    assert failed(answered({}, 429, retry_after=dates["retry_after"])).retry_after_s is None


def test_a_failure_repeats_no_secret_that_a_server_sends_back():
    for code in ("xoxe-1-SECRET", "the-refresh-token", "a" * 200, "two words", "<script>"):
        failure = failed(answered({"error": code, "error_description": code}, 400))

        assert failure.code == "unknown-code"
        assert code not in str(failure)


@given(
    status=st.integers(100, 599),
    body=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)),
    kind=st.sampled_from(["application/json", "text/html", "application/x-www-form-urlencoded", ""]),
    form=st.booleans(),
)
def test_whatever_comes_is_tokens_or_a_failure_of_a_known_kind(status, body, kind, form):
    answer = Answer(status=status, headers={"content-type": kind}, body=body, cut=False)
    try:
        found = read(answer, Dialect(answers=Answers(form=form)))
    except Failure as failure:
        assert failure.kind in KINDS
    else:
        assert isinstance(found, Tokens)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = (
    "access_token",
    "refresh_token",
    "expires_in",
    "scope",
    "token_type",
    "error",
    "ok",
    "authed_user",
    "expires_at",
)


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=6), st.integers(200, 500))
def test_members_of_any_type_make_tokens_or_a_failure(body, status):
    dialect = Dialect(
        answers=Answers(at=("", "authed_user"), facts={"account": ("ok", "scope.0")}), errors=Errors(ok="ok")
    )
    try:
        found = read(answered(body, status), dialect)
    except Failure as failure:
        assert failure.kind in KINDS
    else:
        assert found.expires_in_s is None or found.expires_in_s > 0


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"expires_in": 3600}, 3600),
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": 3599.9}, 3599),
        ({"expires_in": 0}, None),
        ({"expires_in": "0"}, None),
        ({}, 7200),
        ({"expires_in": None}, 7200),
        ({"expires_in": ""}, 7200),
        ({"expires_in": True}, 7200),
        ({"expires_in": -1}, 7200),
        ({"expires_in": "an hour"}, 7200),
        ({"expires_in": [3600]}, 7200),
        ({"expires_in": 10**40}, 7200),
        ({"expires_in": 10**11}, 10 * 366 * 86400),
    ],
)
def test_a_lifetime_is_read_in_every_form_and_never_costs_a_grant(said, seconds):
    body = {"access_token": "at", **said}

    assert read(answered(body), Dialect(answers=Answers(lifetime_s=7200))).expires_in_s == seconds


def test_an_end_can_be_an_instant():
    now = datetime(2031, 5, 1, tzinfo=UTC)
    body = {"access_token": "at", "expires_at": "2031-05-01T01:00:00Z"}

    assert read(answered(body, date=format_datetime(now))).expires_in_s == 3600
    assert read(answered(body)).expires_in_s is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"refresh_token_expires_in": 60}, 60),
        ({"refresh_expires_in": "61"}, 61),
        ({"x_refresh_token_expires_in": 62}, 62),
        ({"refresh_token_expires_in": 90, "authorization_expires_in": 80}, 80),
        ({"refresh_expires_in": 0}, None),
        ({}, 500),
    ],
)
def test_a_refresh_token_ends_as_somebody_says(said, seconds):
    dialect = Dialect(answers=Answers(refresh_lifetime_s=500))

    assert read(answered({**GOOD, **said}), dialect).refresh_expires_in_s == seconds


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("a b", ("a", "b")),
        ("a,b, a", ("a", "b")),
        (["b", "a"], ("b", "a")),
        ("", ()),
        (None, None),
        (7, None),
        (["a", 7], None),
    ],
)
def test_scopes_come_in_every_form_and_leave_in_one(scope, scopes):
    assert read(answered({**GOOD, "scope": scope})).scopes == scopes


def test_tokens_are_not_in_what_is_printed():
    shown = repr(read(answered({"access_token": "hush-1", "refresh_token": "hush-2", "id_token": "hush-3"})))

    assert "hush" not in shown
