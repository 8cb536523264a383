"""A tenant that is suspended, by the real programs: its runtimes hold on to everything, and go on when it is resumed."""

import json

import pytest

from tests import programs
from tests.e2e.conftest import agrees


@pytest.mark.parametrize(
    ("stop", "resume", "told"),
    [("suspend", "resume", "tenant-suspended"), ("delete", "undelete", "tenant-pending-deletion")],
)
def test_what_happens_meanwhile_arrives_afterwards_and_nothing_twice(up, site, stop, resume, told):
    site.once()
    agrees(site)
    changed = site.ended()
    programs.told(up.home, "tenant", stop, site.slug)

    site.change(changed, "cancelled")
    held = programs.agent(site.agent, "once", "--json", **site._environ)

    assert held.returncode == 1
    done = json.loads(held.stdout)
    assert done["left"] > 0
    assert told in done["problem"]

    programs.told(up.home, "tenant", resume, site.slug)
    assert site.once() >= done["left"]
    site.truth.sessions[changed] = "cancelled"
    agrees(site)
