"""The form of a document of configuration: what is typed, and what that means."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.configs import checking, differences
from controlplane.domain.configs.documents import RANK, Config, Edit, Scope
from controlplane.domain.configs.merging import Json
from controlplane.domain.configs.planning import Plan
from controlplane.domain.configs.rollouts import Rollout
from controlplane.http.console import forms
from controlplane.http.paths import identity
from controlplane.http.problems import Invalid
from controlplane.kit.ids import RuntimeId


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a document."""

    version: int = 0
    """That it was opened with."""
    level: Literal["tenant", "project", "label", "runtime"] = "tenant"
    project: Annotated[str, Meta(max_length=60)] = ""
    label: Annotated[str, Meta(max_length=401)] = ""
    runtime: Annotated[str, Meta(max_length=40)] = ""
    rank: Annotated[int, Meta(ge=0, le=1000)] = RANK
    document: Annotated[str, Meta(max_length=4 * checking.LONGEST)] = "{}"
    note: Annotated[str, Meta(max_length=500, pattern=r"^[^\u0000]*$")] = ""
    canary: Annotated[str, Meta(max_length=2000)] = ""
    percents: Annotated[str, Meta(max_length=100, pattern=r"^[0-9 ,]*$")] = "10 50 100"
    max_failed_percent: Annotated[int, Meta(ge=0, le=100)] = 10
    answer_s: Annotated[int, Meta(ge=5, le=604_800)] = 600
    soak_s: Annotated[int, Meta(ge=0, le=604_800)] = 60

    def edit(self) -> Edit:
        """
        Raises:
            ConfigInvalid: With the line of each place.
            Invalid: If the plan is none.
        """
        return Edit(document=checking.read(self.document.replace("\r\n", "\n")), plan=self.plan(), note=self.note)

    def plan(self) -> Plan:
        given = {
            "canary": forms.pairs(self.canary),
            "percents": [int(each) for each in self.percents.replace(",", " ").split()],
            "max_failed_percent": self.max_failed_percent,
            "answer_s": self.answer_s,
            "soak_s": self.soak_s,
        }
        try:
            return msgspec.convert(given, Plan)
        except msgspec.ValidationError as error:
            raise Invalid([{"in": "body", "name": "plan", "detail": str(error)}]) from error


EMPTY: Final = Filled()


def filled(config: Config, document: Json, last: Rollout) -> Filled:
    """The form as it stands for a document; rolled out as it was last time, unless somebody says otherwise."""
    plan = last.terms
    return Filled(
        version=config.version,
        level=config.level,
        rank=config.rank,
        document=differences.pretty(document),
        canary=" ".join(f"{name}={value}" for name, value in plan.canary.items()),
        percents=" ".join(map(str, plan.percents)),
        max_failed_percent=plan.max_failed_percent,
        answer_s=plan.answer_s,
        soak_s=plan.soak_s,
    )


async def scope_of(tx: TenantTx, given: Filled) -> Scope:
    """For which runtimes a new document is.

    Raises:
        NotFound: If the tenant has no such project or runtime.
        Invalid: If it is for a label, and that is none.
    """
    if given.level == "project":
        return Scope(level="project", project_id=(await projects.named(tx, given.project)).id)
    if given.level == "runtime":
        return Scope(level="runtime", runtime_id=RuntimeId(identity("rt", given.runtime)))
    if given.level == "label":
        pairs = list(forms.pairs(given.label).items())
        if len(pairs) != 1:
            raise Invalid([{"in": "body", "name": "label", "detail": "write one label as name=value"}])
        return Scope(level="label", label=pairs[0][0], value=pairs[0][1])
    return Scope()
