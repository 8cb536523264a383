"""The link that ``up`` prints, and what happens to an open page when the server is asked to stop."""

from contextlib import contextmanager

import httpx

from tests import programs


@contextmanager
def signed_in(up):
    """A browser that followed the printed link."""
    with httpx.Client(base_url=up.url, headers={"Origin": up.url}, timeout=programs.PATIENCE_S) as browser:
        arrived = browser.post("/console/welcome", data={"token": up.report["sign_in"]})
        assert arrived.status_code == 303
        yield browser


def test_the_printed_link_signs_in_once(up):
    """That of the one that all share: nobody else follows it."""
    with signed_in(up) as browser:
        assert browser.get("/console/").status_code == 200
    again = httpx.post(f"{up.url}/console/welcome", data={"token": up.report["sign_in"]}, headers={"Origin": up.url})

    assert again.status_code == 401
    assert httpx.get(f"{up.url}/console/").status_code == 303


def test_an_open_page_does_not_hold_up_the_stop(home):
    with programs.up(home) as up, signed_in(up) as browser, browser.stream("GET", "/console/live") as stream:
        lines = stream.iter_lines()
        next(lines)

        assert up.end() == 0

        assert list(lines)[-1:] in ([], [""]), "the stream ended between two events"
    assert "refused to gracefully stop" not in (home / "logs" / "server.log").read_text()
