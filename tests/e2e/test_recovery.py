"""Last night's backup is restored, by the real programs: agents refill what came after it, and the console explains."""

import json
import re
from datetime import UTC, datetime

import pytest

from controlplane.demo.home import Shape
from tests import programs
from tests.e2e.conftest import Site, agrees
from tests.e2e.served import Served


@pytest.fixture
def server(app_url, owner_url, home):
    served = Served(home, app_url, owner_url)
    served.start()
    yield served
    served.stop()


def verified(site):
    done = programs.agent(site.agent, "verify", **site._environ)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def work_on(site):
    """Somebody cancels a session; the agent tells it."""
    changed = site.ended()
    site.change(changed, "cancelled")
    site.truth.sessions[changed] = "cancelled"
    assert site.once() > 0


def story(page):
    """The page's telling of the restore, as text."""
    section = re.search(r'<section id="restored".*?</section>', page, re.DOTALL)[0]
    return " ".join(re.sub(r"<[^>]*>", " ", section).split())


def test_what_came_after_the_backup_is_sent_again_and_the_console_explains_it(server, tmp_path):
    steady, ahead = (Site(server, tmp_path, Shape(sessions=8, zone=UTC), datetime.now(UTC)) for _ in range(2))
    for site in (steady, ahead):
        site.once()
    file, newer = tmp_path / "last-night.backup", tmp_path / "newer.backup"
    programs.told(server.home, "db", "backup", file)
    for site in (steady, ahead):
        work_on(site)
    programs.told(server.home, "db", "backup", newer)
    work_on(ahead)  # it hears of the newer backup, and forgets what that covers
    [before] = steady.listing("runtimes")
    assert "identical" in verified(ahead)
    assert programs.command(server.home, "db", "restore", file, "--yes").returncode == 1, "somebody works with it"

    server.stop()
    told = json.loads(programs.said(server.home, "db", "restore", file, "--yes", "--json"))
    server.start()
    assert told["runtimes"] == 2
    assert "identical" not in verified(steady)
    for site in (steady, ahead):
        site.once()

    for site in (steady, ahead):
        assert verified(site)[0] == "identical"
        agrees(site)
    programs.told(server.home, "db", "rebuild")
    agrees(steady)
    with server.browser("ann@example.com") as browser:
        pages = [
            browser.get(f"/console/t/{site.slug}/runtimes/{site.listing('runtimes')[0]['id']}").text
            for site in (steady, ahead)
        ]
        front = story(browser.get("/console/").text)
    held = before["ledger"]["acknowledged"]
    assert "To its backup of" in story(pages[0])
    assert "last-night.backup" in story(pages[0])
    assert f"number {held} of epoch 1; all of it is here" in story(pages[0])
    assert "Both sides hold the same." in story(pages[0])
    assert "began epoch 2" in story(pages[1])
    assert "missing of which it kept no record any more" in story(pages[1])
    assert "Nothing is lost" in story(pages[0])
    assert "Every runtime has refilled it" in front
    assert "No record is known to be lost." in front
