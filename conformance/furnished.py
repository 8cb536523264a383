"""A tenant in which somebody has lived: what the console's pages need before a picture of them shows anything."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx
from sqlalchemy import text

from conformance.asked import Lost, behind, commanded
from conformance.furnisher import LONG, Furnisher
from controlplane.cli.reach import with_database
from controlplane.db.database import Database
from controlplane.domain.keys import Keyring
from tests import programs
from tests.programs import said

PEOPLE = {
    "ada.marsh@larkfield.example": ("Ada", "Marsh"),
    "ben.okafor@larkfield.example": ("Ben", "Okafor"),
    "chiara.rossi@larkfield.example": ("Chiara", "Rossi"),
    "dmitri.volkov@larkfield.example": ("Dmitri", "Volkov"),
    "eun-ji.park@larkfield.example": ("Eun-ji", "Park"),
    "fatima.haddad@larkfield.example": ("Fatima", "Haddad"),
}

LEASED = "Ledger, read and write"

RESTORED: Final = text("""
    WITH other AS (SELECT gen_random_uuid() AS id)
    UPDATE store SET store_id = other.id, refreshing_as = other.id, made_at = now(),
        restored_to = now() - interval '1 minute', restored_from = 'last-night'
    FROM other
""")
"""As after a restore in which nothing was lost, and after which refreshing goes on."""

EMPTY: Final = "fresh"
"""A tenant in which nothing has happened yet."""


def furnish(up: programs.Up, slug: str) -> dict[str, str]:
    """Furnish the tenant; the addresses of one thing of each kind within its pages, by what the pictures are called."""
    key = said(up.home, "api-key", "create", "--tenant", slug, "--name", "Terraform", "--role", "owner")
    headers = {"Authorization": f"Bearer {key}"}
    said(up.home, "tenant", "create", EMPTY, "--name", "Fresh Ground")
    with httpx.Client(base_url=up.url, headers=headers, timeout=60) as client:
        here = Furnisher(client, slug)
        made = {**_furnish(here), **commanded(here), "runtime-behind": f"runtimes/{behind(up, here)}"}
    for words in (("--agent", "invoice_review", "--purpose", "pay"), ("--agent", "support_triage")):
        leased = programs.agent(up.home / "demo" / "agent", "credentials", "get", LEASED, "--json", *words)
        assert leased.returncode == 0, leased.stderr
    with ThreadPoolExecutor(1) as aside:  # in this thread a browser's loop may be running already
        aside.submit(with_database, up.home, Lost(slug, made["runtime-behind"].removeprefix("runtimes/"))).result()
        aside.submit(with_database, up.home, _restore).result()
    return made


async def _restore(db: Database, keyring: Keyring) -> None:
    async with db.platform() as tx:
        await tx.run(RESTORED)


def _furnish(here: Furnisher) -> dict[str, str]:
    here.make("projects", slug="claims", name="Claims", environment="prod")
    here.make("projects", slug="claims-staging", name="Claims, staging", environment="staging")
    return {**_people(here), **_programs(here), **_vault(here), **_configured(here)}


def _people(here: Furnisher) -> dict[str, str]:
    token = here.make("scim-tokens", name="Entra ID")["token"]
    people = [here.announce(token, address, *name) for address, name in PEOPLE.items()]
    for address in ("george.lin@larkfield.example", "hana.kim@auditors.example"):
        here.make("invitations", email=address, role="viewer")
    role = here.make(
        "roles",
        name="reviewer",
        description="Reads what the agents did, and nothing of who may do what.",
        permissions=["agent:read", "checkpoint:read", "project:read", "run:read", "session:read"],
    )
    group = here.make("groups", name="Claims team", description="Whoever decides on claims.")
    here.make("groups", name="On call", description="Whoever is woken.")
    for person in people[:4]:
        here.make(f"groups/{group['id']}/members/{person}", "PUT")
    here.make("role-assignments", role="reviewer", group=group["id"], project="claims")
    here.make("role-assignments", role="developer", user=people[0])
    here.make("role-assignments", role="auditor", user=people[1])
    return {"person": f"people/{people[0]}", "role": f"roles/{role['id']}", "group": f"groups/{group['id']}"}


def _programs(here: Furnisher) -> dict[str, str]:
    program = here.make("service-accounts", name="Billing export", description="Reads usage, once a night.")
    here.make("role-assignments", role="viewer", service_account=program["id"])
    here.make("api-keys", name="Nightly", service_account=program["id"], networks=["192.0.2.0/24"])
    here.make("api-keys", name="Dashboard", role="viewer")
    here.make("join-tokens", project="claims", uses=3)
    here.make("domains", name="larkfield.example")
    here.make(
        "sso-connections",
        name="Larkfield",
        issuer="https://login.larkfield.example/realms/staff",
        client_id="engine-cloud",
        client_secret="only for a picture",
        default_role="viewer",
    )
    hook = here.make("webhooks", url="https://hooks.larkfield.example/engine-cloud", description="Tells the pager.")
    here.make(f"webhooks/{hook['id']}/test")
    here.make("webhooks", url="https://siem.larkfield.example/in", types=["api-key.created", "role.assigned"])
    here.make("exports")
    return {"service-account": f"service-accounts/{program['id']}", "webhook": f"webhooks/{hook['id']}"}


def _vault(here: Furnisher) -> dict[str, str]:
    ledger = here.make("connections", provider="openai", name=LEASED, fields={"api_key": "only for a picture"})
    here.make("connections", provider="anthropic", name=LONG, fields={"api_key": "only for a picture"})
    allows = here.make(
        "policies",
        name="Invoices are paid from the ledger",
        effect="allow",
        modes=["lease"],
        connections={"ids": [ledger["id"]]},
        conditions={"max_ttl_s": 600},
    )
    here.make(
        "policies",
        name="Nobody at night",
        effect="deny",
        modes=["lease", "proxy"],
        subject={"agents": ["contract_*"], "labels": {"zone": "eu"}},
        conditions={"hours": {"since": "22:00", "until": "06:00", "days": ["sat", "sun"]}},
    )
    here.make(
        "policies", name=LONG, effect="allow", modes=["proxy"], connections={"providers": ["google"]}, enabled=False
    )
    return {
        "connections": "connections",
        "connect": "connections/new",
        "oauth-apps": "oauth-apps",
        "connection": f"connections/{ledger['id']}",
        "connection-access": f"connections/{ledger['id']}/access",
        "policies": "policies",
        "policy": f"policies/{allows['id']}",
        "policy-new": "policies/new",
        "leases": "leases",
    }


def _configured(here: Furnisher) -> dict[str, str]:
    """A document in its second version, which is being rolled out."""
    words = "Read the contract twice.\nName every clause that costs money.\n"
    document = {"agent": {"scan_interval_s": 30}, "prompts": {"reviewer": {"text": words}}}
    config = here.make("configs", document=document, note="What every reviewer is told.")["id"]
    here.make(f"configs/{config}/versions/1/rollout/cancel")
    more = {
        **document,
        "prompts": {"reviewer": {"text": f"{words}Say which page.\n"}},
        "redaction": {"shapes": ["KD-######"]},
    }
    plan = {"percents": [10, 50, 100], "soak_s": 3600}
    here.change(f"configs/{config}", document=more, plan=plan, note="Pages, and no customer numbers.")
    here.make("configs", scope={"label": "zone", "value": "eu"}, document={"content": {"policy": "metadata"}})
    return {
        "configs": "configs",
        "config-new": "configs/new",
        "config": f"configs/{config}",
        "config-version": f"configs/{config}/versions/2",
        "config-text": f"configs/{config}/texts/prompts/reviewer",
    }
