"""``controlplane config``: what runtimes are to be like, and how that gets to them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from controlplane.cli.options import home_option, instant, json_option, show, show_list, tenant_option

if TYPE_CHECKING:
    from uuid import UUID

    from controlplane.db.database import TenantTx
    from controlplane.domain.configs.documents import Config, Scope
    from controlplane.domain.configs.planning import Plan
    from controlplane.domain.configs.rollouts import Rollout
    from controlplane.domain.configs.standing import Kept

COLUMNS = ("scope", "version", "stable", "rollout", "changed_at", "id")
ACTS = ("pause", "resume", "cancel")


@click.group()
def config() -> None:
    """What runtimes are to be like, and how that gets to them."""


@config.command("list")
@tenant_option
@home_option
@json_option
def list_(tenant: str, home: Path, as_json: bool) -> None:
    """List a tenant's documents, each with its last roll-out."""
    from controlplane.cli.shell import every, within
    from controlplane.domain.configs import documents, rollouts

    async def work(tx: "TenantTx", _: object) -> list[dict[str, object]]:
        def page(*, after: "UUID | None", limit: int) -> "Awaitable[list[Config]]":
            return documents.listing(tx, after=after, limit=limit)

        found = await every(page, lambda each: each.id)
        return [_shown(each, await rollouts.get(tx, each.id, each.version)) for each in found]

    show_list(within(home, tenant, work), COLUMNS, as_json)


@config.command("set")
@click.argument("file", type=click.File("r"), metavar="FILE")
@tenant_option
@click.option("--project", metavar="SLUG", help="For the runtimes of a project.")
@click.option("--label", metavar="NAME=VALUE", help="For runtimes with this label.")
@click.option("--runtime", metavar="RUNTIME", help="For one runtime, rt_…")
@click.option("--note", default="", help="Why, for whoever looks at the versions.")
@click.option("--percents", default="10,50,100", show_default=True, help="Up to which share each wave reaches.")
@click.option("--canary", multiple=True, metavar="NAME=VALUE", help="Labels of the runtimes that come first.")
@click.option("--max-failed", default=10, show_default=True, type=click.IntRange(0, 100), help="Per cent of a wave.")
@click.option("--soak-s", default=60, show_default=True, type=click.IntRange(0, 604_800), help="Between waves.")
@home_option
@json_option
def set_(file: IO[str], tenant: str, note: str, home: Path, as_json: bool, **given: object) -> None:
    """Make the document of a scope say what FILE says, - for stdin, and print its id. Without a scope: for every runtime."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain.configs import checking, documents
    from controlplane.domain.configs.documents import Edit
    from controlplane.kit.ids import text_id

    async def work(tx: "TenantTx", _: object) -> "Config":
        scope, edit = await _scope(tx, given), Edit(document=checking.read(file.read()), plan=_plan(given), note=note)
        known = await documents.of_scope(tx, scope)
        if known is None:
            return await documents.create(tx, shell(), scope, edit)
        return await documents.save(tx, shell(), known.id, edit)

    kept = within(home, tenant, work)
    identity = text_id("cfg", kept.id)
    show({"id": identity, "version": kept.version}, identity, as_json)


@config.command("show")
@click.argument("config_id", metavar="CONFIG")
@tenant_option
@click.option("--version", "number", type=int, help="Default: the newest.")
@home_option
@json_option
def show_(config_id: str, tenant: str, number: int | None, home: Path, as_json: bool) -> None:
    """Print a document, by its id, cfg_…"""
    from controlplane.cli.shell import parsed, within
    from controlplane.domain.configs import differences, documents
    from controlplane.domain.configs.merging import Json

    identity = parsed("cfg", config_id)

    async def work(tx: "TenantTx", _: object) -> Json:
        its = await documents.get(tx, identity)
        return (await documents.version(tx, its.id, number or its.version)).content()

    found = within(home, tenant, work)
    show(found, differences.pretty(found), as_json)


@config.command()
@click.argument("config_id", metavar="CONFIG")
@tenant_option
@click.option("--version", "number", type=int, help="Default: the newest.")
@home_option
@json_option
def rollout(config_id: str, tenant: str, number: int | None, home: Path, as_json: bool) -> None:
    """Print how far a version has got."""
    _on_rollout(home, tenant, config_id, number, as_json, None)


@config.command()
@click.argument("act", type=click.Choice(ACTS))
@click.argument("config_id", metavar="CONFIG")
@tenant_option
@home_option
@json_option
def turn(act: str, config_id: str, tenant: str, home: Path, as_json: bool) -> None:
    """Hold up the roll-out of the newest version, let it go on, or take it back."""
    _on_rollout(home, tenant, config_id, None, as_json, act)


@config.command()
@click.argument("runtime_id", metavar="RUNTIME")
@tenant_option
@home_option
@json_option
def effective(runtime_id: str, tenant: str, home: Path, as_json: bool) -> None:
    """Print what a runtime is to have, and whether it has it."""
    from controlplane.cli.shell import parsed, within
    from controlplane.domain import runtimes
    from controlplane.domain.configs import standing
    from controlplane.kit.ids import RuntimeId

    identity = RuntimeId(parsed("rt", runtime_id))

    async def work(tx: "TenantTx", _: object) -> "Kept | None":
        await runtimes.get(tx, identity)
        return await standing.of_runtime(tx, identity)

    found = within(home, tenant, work)
    state, generation = (found.word, found.generation) if found else ("none", 0)
    facts: dict[str, object] = {"state": state, "generation": generation, "applied": found.applied if found else 0}
    facts |= {"error": found.error if found else "", "drift": found.drift if found else []}
    document = found.shown if found else "{}"
    show({**facts, "document": document}, f"{state}, generation {generation}\n{document}", as_json)


def _on_rollout(home: Path, tenant: str, config_id: str, number: int | None, as_json: bool, act: str | None) -> None:
    from controlplane.cli.shell import parsed, shell, within
    from controlplane.domain.configs import documents, rollouts

    identity = parsed("cfg", config_id)
    acts: dict[str, Callable[..., Awaitable[Rollout]]] = {
        "pause": rollouts.pause,
        "resume": rollouts.resume,
        "cancel": rollouts.cancel,
    }

    async def work(tx: "TenantTx", _: object) -> "tuple[Rollout, dict[str, int]]":
        its = await documents.get(tx, identity)
        if act is not None:
            await acts[act](tx, shell(), its.id, its.version)
        found = await rollouts.get(tx, its.id, number or its.version)
        counted: dict[str, int] = {}
        for each in (await rollouts.counts(tx, [found]))[found.config_id, found.version]:
            counted[each.outcome] = counted.get(each.outcome, 0) + each.runtimes
        return found, counted

    found, counted = within(home, tenant, work)
    facts = {"version": found.version, "state": found.state, "reason": found.reason, "wave": found.wave}
    said = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counted.items()))
    line = f"version {found.version} {found.state}, wave {found.wave} of {found.waves}: {said or 'no runtime'}"
    show({**facts, "waves": found.waves, "runtimes": counted}, f"{line}\n{found.reason}".strip(), as_json)


async def _scope(tx: "TenantTx", given: dict[str, object]) -> "Scope":
    from controlplane.cli.problems import Declined
    from controlplane.cli.shell import parsed
    from controlplane.domain import projects
    from controlplane.domain.configs.documents import Scope
    from controlplane.kit.ids import RuntimeId

    said = {name: str(given[name]) for name in ("project", "label", "runtime") if given[name] is not None}
    if len(said) > 1:
        raise Declined("A document has one scope.", "Give --project, --label or --runtime, or none of them.")
    if "project" in said:
        return Scope(level="project", project_id=(await projects.named(tx, said["project"])).id)
    if "runtime" in said:
        return Scope(level="runtime", runtime_id=RuntimeId(parsed("rt", said["runtime"])))
    if "label" in said:
        [(name, value)] = _pairs([said["label"]]).items()
        return Scope(level="label", label=name, value=value)
    return Scope()


def _plan(given: dict[str, object]) -> "Plan":
    from controlplane.cli.problems import Declined
    from controlplane.domain.configs.planning import Plan

    try:
        percents = tuple(int(each) for each in str(given["percents"]).split(","))
    except ValueError:
        raise Declined("The shares of the waves are numbers.", "As in --percents 10,50,100.") from None
    canary = given["canary"]
    assert isinstance(canary, tuple), "click collects them"
    return Plan(
        canary=_pairs(canary),
        percents=percents,
        max_failed_percent=int(str(given["max_failed"])),
        soak_s=int(str(given["soak_s"])),
    )


def _pairs(given: "list[str] | tuple[str, ...]") -> dict[str, str]:
    from controlplane.cli.problems import Declined

    found = dict(each.split("=", 1) for each in given if "=" in each)
    if len(found) != len(given) or not all(name and value for name, value in found.items()):
        raise Declined("A label is a name and a value.", "As in --label zone=eu.")
    return found


def _shown(its: "Config", last: "Rollout") -> dict[str, object]:
    from controlplane.kit.ids import text_id

    return {
        "id": text_id("cfg", its.id),
        "scope": its.scope.key.rstrip(":"),
        "version": its.version,
        "stable": its.stable,
        "rollout": last.state,
        "changed_at": instant(its.changed_at),
    }
