"""/v1/tenants/{tenant}/configs: documents of desired configuration, their versions, and how those reach the runtimes."""

from typing import Annotated, Any, Literal, TypeAlias

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.configs import differences, documents, texts
from controlplane.domain.configs.documents import Config, Edit, Scope, Version
from controlplane.domain.configs.planning import Plan
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity, number
from controlplane.http.problems import Invalid
from controlplane.kit.ids import RuntimeId, text_id
from controlplane.kit.problems import NotFound

Plain: TypeAlias = Annotated[str, Meta(max_length=500, pattern=r"^[^\u0000]*$")]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\u0000]*$")]


class ConfigScope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For which runtimes it is: exactly one of these, or none for all of the tenant."""

    project: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    """Its slug or id."""
    label: Label | None = None
    """With :attr:`value`: runtimes that have this label."""
    value: Label | None = None
    runtime: Annotated[str, Meta(max_length=40)] | None = None


class ConfigChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    document: dict[str, Any]
    """What it says, all of it; see docs/reference/configuration.md."""
    plan: Plan | None = None
    """How it reaches the runtimes; null: a tenth of them, half, all."""
    note: Plain = ""


class NewConfig(ConfigChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scope: ConfigScope | None = None
    """Null: all runtimes of the tenant."""
    rank: Annotated[int, Meta(ge=0, le=1000)] = documents.RANK
    """Among documents for labels: the higher one has the last word."""


class ConfigScopeView(Struct, frozen=True, kw_only=True):
    level: str
    project: str | None
    label: str | None
    value: str | None
    runtime: str | None


class ConfigView(Struct, frozen=True, kw_only=True):
    id: str
    scope: ConfigScopeView
    rank: int
    version: int
    """The newest."""
    stable: int
    """The one that runtimes have without a roll-out; 0: none."""
    document: dict[str, Any]
    """As of the newest version."""
    created_by: str
    created_at: Moment
    changed_at: Moment


class ConfigVersionView(Struct, frozen=True, kw_only=True):
    version: int
    document: dict[str, Any]
    note: str
    created_by: str
    created_at: Moment


class DifferenceView(Struct, frozen=True, kw_only=True):
    name: str
    """`document`, or `prompts.greeting`."""
    lines: list[str]
    """As `diff -u` writes them."""


class DifferencesView(Struct, frozen=True, kw_only=True):
    config: str
    older: int
    newer: int
    differences: list[DifferenceView]


class WordingView(Struct, frozen=True, kw_only=True):
    version: int
    config_version: int
    """The document's version that it came with."""
    text: str
    changed: list[str]
    """Against the text before, as `diff -u` writes it."""
    created_by: str
    created_at: Moment


class ConfigsController(Controller):
    path = "/configs"
    tags = ("configs",)
    opt = rule(Surface.TENANT, "config:read")

    @get("/")
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[ConfigView]:
        """Documents, newest first."""
        rows = await documents.listing(tx, after=paging.after_id, limit=paging.fetch)
        newest = {row.id: await documents.version(tx, row.id, row.version) for row in rows}
        return paging.page(rows, lambda row: row.id, lambda row: view(row, newest[row.id]))

    @post("/", status_code=201, opt=rule(Surface.TENANT, "config:write", fresh=True))
    async def create(
        self, data: JSONBody[NewConfig], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> ConfigView:
        """Make the document of a scope. It reaches its runtimes in waves, from now on."""
        edit = Edit(document=data.document, plan=data.plan or Plan(), note=data.note)
        made = await documents.create(tx, actor, await _scope(tx, data.scope or ConfigScope()), edit, data.rank)
        return view(made, await documents.version(tx, made.id, made.version))

    @get("/{config:str}")
    async def show(self, tx: NamedDependency[TenantTx], config: FromPath[str]) -> ConfigView:
        """One document."""
        found = await documents.get(tx, identity("cfg", config))
        return view(found, await documents.version(tx, found.id, found.version))

    @put("/{config:str}", opt=rule(Surface.TENANT, "config:write", fresh=True))
    async def save(
        self,
        data: JSONBody[ConfigChange],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        config: FromPath[str],
    ) -> ConfigView:
        """Make its next version. One roll-out at a time: the last one must have ended."""
        edit = Edit(document=data.document, plan=data.plan or Plan(), note=data.note)
        kept = await documents.save(tx, actor, identity("cfg", config), edit)
        return view(kept, await documents.version(tx, kept.id, kept.version))

    @delete("/{config:str}", opt=rule(Surface.TENANT, "config:write", fresh=True))
    async def remove(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], config: FromPath[str]) -> None:
        """Take it away, for all its runtimes at once. To go in waves, save an empty document first."""
        await documents.delete(tx, actor, identity("cfg", config))

    @get("/{config:str}/versions")
    async def versions(
        self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging], config: FromPath[str]
    ) -> Page[ConfigVersionView]:
        """Everything that it has ever said, newest first."""
        found = await documents.get(tx, identity("cfg", config))
        rows = await documents.versions(tx, found.id, before=paging.after_number, limit=paging.fetch)
        return paging.page(rows, lambda row: row.version, _version)

    @get("/{config:str}/versions/{version:str}/changes")
    async def changes(
        self, tx: NamedDependency[TenantTx], config: FromPath[str], version: FromPath[str]
    ) -> DifferencesView:
        """What a version changed: against the one before it."""
        found = await documents.version(tx, identity("cfg", config), number(version))
        before = found.version - 1
        older = await documents.version(tx, found.config_id, before) if before else None
        between = differences.between(older.content() if older else None, found.content())
        shown = [DifferenceView(name=each.name, lines=each.lines) for each in between]
        return DifferencesView(
            config=text_id("cfg", found.config_id), older=before, newer=found.version, differences=shown
        )

    @get("/{config:str}/texts/{kind:str}/{name:str}")
    async def wording(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        config: FromPath[str],
        kind: FromPath[str],
        name: FromPath[str],
    ) -> Page[WordingView]:
        """Every text that a prompt or a skill has had, newest first, each with what it changed."""
        if kind not in texts.KINDS or "\0" in name:
            raise NotFound
        found = await documents.get(tx, identity("cfg", config))
        which: Literal["prompts", "skills"] = "prompts" if kind == "prompts" else "skills"
        rows = await texts.history(tx, found.id, which, name, before=paging.after_number, limit=paging.fetch + 1)
        before = dict(zip([each.version for each in rows], [*[each.text for each in rows[1:]], ""], strict=True))
        return paging.page(
            rows[: paging.fetch], lambda row: row.version, lambda row: _wording(row, before[row.version])
        )


def view(its: Config, newest: Version) -> ConfigView:
    return ConfigView(
        id=text_id("cfg", its.id),
        scope=ConfigScopeView(
            level=its.level,
            project=text_id("prj", its.project_id) if its.project_id else None,
            label=its.label or None,
            value=its.value or None,
            runtime=text_id("rt", its.runtime_id) if its.runtime_id else None,
        ),
        rank=its.rank,
        version=its.version,
        stable=its.stable,
        document=newest.content(),
        created_by=its.created_by,
        created_at=moment(its.created_at),
        changed_at=moment(its.changed_at),
    )


async def _scope(tx: TenantTx, given: ConfigScope) -> Scope:
    said = [each for each in (given.project, given.label, given.runtime) if each is not None]
    if len(said) > 1 or (given.label is None) != (given.value is None):
        detail = "give a project, or a runtime, or a label and its value, or none of them"
        raise Invalid([{"in": "body", "name": "scope", "detail": detail}])
    if given.project is not None:
        return Scope(level="project", project_id=(await projects.named(tx, given.project)).id)
    if given.runtime is not None:
        return Scope(level="runtime", runtime_id=RuntimeId(identity("rt", given.runtime)))
    if given.label is not None and given.value is not None:
        return Scope(level="label", label=given.label, value=given.value)
    return Scope()


def _version(its: Version) -> ConfigVersionView:
    return ConfigVersionView(
        version=its.version,
        document=its.content(),
        note=its.note,
        created_by=its.created_by,
        created_at=moment(its.created_at),
    )


def _wording(its: texts.Wording, before: str) -> WordingView:
    return WordingView(
        version=its.version,
        config_version=its.config_version,
        text=its.text,
        changed=differences.lines(before, its.text),
        created_by=its.created_by,
        created_at=moment(its.created_at),
    )
