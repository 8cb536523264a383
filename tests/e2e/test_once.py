"""From a home on a disk to the API, by the real programs: exactly what is there, however often it is sent."""

from datetime import UTC, datetime

from controlplane.demo.home import Shape
from tests.e2e.conftest import Site, agrees, word


def test_the_api_shows_exactly_what_the_home_holds_and_once_more_changes_nothing(site):
    assert site.once() > 0
    agrees(site)
    before = site.everything()

    assert site.once() == 0

    assert site.everything() == before


def test_a_lost_outbox_neither_doubles_nor_swallows_anything(site):
    site.once()
    before = site.everything()

    lose_outbox(site)
    assert site.once() > 0
    assert site.everything() == before

    lose_outbox(site)
    ended = site.ended()
    site.change(ended, "cancelled")
    site.once()

    site.truth.sessions[ended] = "cancelled"
    assert {
        f"{row['agent']}/{row['source']['id']}": word(row) for row in site.listing("sessions")
    } == site.truth.sessions
    assert len(site.listing("checkpoints")) == len(before["checkpoints"])
    assert len(site.listing("runs")) == len(before["runs"])


def test_the_zone_of_the_machine_changes_nothing(up, place):
    now = datetime.now(UTC)
    machines = ("UTC", "America/St_Johns", "Pacific/Chatham")
    sites = [Site(up, place, Shape(sessions=30, zone=UTC), now, TZ=machine) for machine in machines]

    for site in sites:
        site.once()
        agrees(site)

    assert instants(sites[1]) == instants(sites[0])
    assert instants(sites[2]) == instants(sites[0])


def lose_outbox(site):
    for path in site.agent.glob("outbox.db*"):
        path.unlink()


def instants(site):
    told = ("started_at", "updated_at", "ended_at")
    return {row["source"]["id"]: [row[name] for name in told] for row in site.listing("sessions")}
