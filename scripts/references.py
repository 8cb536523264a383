"""Write the pages of docs/reference that are made from the code: ``.venv/bin/python -m scripts.references``.

Tests compare the files with what this makes, so that a permission or a refusal changes in plain sight or not at all.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

import controlplane
from controlplane import settings
from controlplane.app import build
from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.domain.events import catalogue
from controlplane.domain.permission_names import (
    ANYWHERE,
    OPERATOR_PERMISSIONS,
    OPERATOR_ROLES,
    OPERATORS_IN_TENANTS,
    PERMISSIONS,
    RESERVED,
    ROLES,
    RUNTIME_PERMISSIONS,
    SCIM_PERMISSIONS,
    WITHIN_PROJECTS,
    WITHIN_RUNTIMES,
)
from controlplane.domain.sync.turns import NEWS_FOR
from controlplane.http import proof
from controlplane.http.proof import Lock
from controlplane.kit.problems import Refusal
from runtime_agent import settings as agents
from scripts.providers import providers_page

FOLDER = Path(__file__).parents[1] / "docs" / "reference"


def pages() -> dict[str, str]:
    """What each file of docs/reference has to hold."""
    app = build(Database("postgresql://nobody@127.0.0.1/none"), keys.new())
    found = proof.locks(app)
    return {
        "events.md": events_page(),
        "permissions.json": msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n",
        "permissions.md": permissions(found),
        "providers.md": providers_page(),
        "refusals.md": refusals(),
        "settings.md": settings_page(),
    }


def events_page() -> str:
    """Every type of event and what it holds."""
    return "\n".join(
        [
            "# Events",
            "",
            "For whoever receives webhooks or reads the events feed.",
            "Made by `python -m scripts.references` from `controlplane/domain/events/catalogue.py`.",
            "",
            "Each event is sent and shown as `{id, type, timestamp, tenant, sequence, data}`.",
            "`id` is the same whenever it is sent; `sequence` counts a tenant's events without gaps.",
            "Types and optional fields are only ever added: ignore what you do not know.",
            "The JSON Schema of each type is at `GET /v1/tenants/{tenant}/events/types`.",
            "",
            "| type | what happened | `data` |",
            "|---|---|---|",
            *(
                f"| `{each.name}` | {each.says} | {', '.join(f'`{name}`' for name in each.data.__struct_fields__)} |"
                for each in catalogue().values()
            ),
            "",
            "`actor` and `object` are `{kind, id}`: who did it, and to what.",
            "`session.failed` and `session.waiting` are told once for each time that a session turns so;",
            f"one that had turned more than {NEWS_FOR.days} days before it is reported is history, and not told.",
            "`webhook.test` is what a test delivers; it is no event and stands in no feed.",
            "",
        ]
    )


def permissions(locks: list[Lock]) -> str:
    """Who may do what, and what each operation takes."""
    return "\n".join(
        [
            "# Permissions",
            "",
            "For whoever gives out roles and keys, and for whoever reviews them.",
            "Made by `python -m scripts.references` from `controlplane/domain/permissions.py` and the routes.",
            "",
            "## Roles in a tenant",
            "",
            *_grid(PERMISSIONS, ROLES),
            "",
            "Nobody hands on a role that holds more than they do, and nobody takes anything from whoever administers more.",
            "A tenant may make roles of its own from these permissions, except those marked *built-in only*.",
            "",
            "A role can be limited to a project, to runtimes with certain labels, or to both.",
            "Then it gives only what the column *within* says: in that project or on those runtimes (`runtimes`),",
            "in that project where no labels limit it (`projects`), or as without a limit (`tenant`); all else not at all.",
            "",
            *_reach(),
            "",
            "## Operators",
            "",
            *_grid(OPERATOR_PERMISSIONS, OPERATOR_ROLES),
            "",
            "Inside a tenant of which they are no member, in the console only:",
            "",
            *_grid(PERMISSIONS, OPERATORS_IN_TENANTS),
            "",
            "## Runtimes",
            "",
            *(f"- `{name}`: {meaning}" for name, meaning in RUNTIME_PERMISSIONS.items()),
            "",
            "## Directories",
            "",
            *(f"- `{name}`: {meaning}" for name, meaning in SCIM_PERMISSIONS.items()),
            "",
            "## Operations",
            "",
            "| method | path | surface | takes |",
            "|---|---|---|---|",
            *(f"| {lock.method} | `{lock.path}` | {lock.surface or ''} | {_takes(lock)} |" for lock in locks),
            "",
        ]
    )


def refusals() -> str:
    """Every code that a caller can meet."""
    return "\n".join(
        [
            "# Refusals",
            "",
            "For whoever meets a `code` in an answer, a log or on a screen.",
            "Made by `python -m scripts.references` from the classes that are raised.",
            "",
            "| code | status | title | what to do |",
            "|---|---|---|---|",
            *(
                f"| `{code}` | {each.status} | {each.title} | {_hint(each)} |"
                for code, each in sorted(((each.code, each) for each in every_refusal()), key=lambda pair: pair[0])
            ),
            "",
        ]
    )


def settings_page() -> str:
    """Every setting of both programs, its default and what it means."""
    return "\n".join(
        [
            "# Settings",
            "",
            "For whoever runs the control plane, or the agent beside a runtime.",
            "Made by `python -m scripts.references` from `controlplane/settings.py` and `runtime_agent/settings.py`.",
            "",
            "A setting is an environment variable, or the same name in lower case without prefix in a file of the home.",
            "The environment overrules the file.",
            "A setting that is misspelled or ill-typed stops the start, with its name.",
            "",
            "## The control plane: `<home>/controlplane.toml`",
            "",
            *_settings(settings.PREFIX, settings.Settings),
            "",
            "## The runtime agent: `<home>/agent.toml`",
            "",
            *_settings(agents.PREFIX, agents.Settings),
            "",
            "The home itself is `RUNTIME_AGENT_HOME`; a join token can be given in `RUNTIME_AGENT_JOIN_TOKEN`.",
            "`ENGINE_HOME` is where `--source engine` looks if it names no path.",
            "",
        ]
    )


def _settings(prefix: str, struct: type[msgspec.Struct]) -> list[str]:
    meanings = _field_docstrings(struct)
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for field in msgspec.structs.fields(struct):
        meaning = meanings[field.name].replace("``", "`")
        lines.append(f"| `{prefix}{field.name.upper()}` | {_default(field.default)} | {meaning} |")
    return lines


def every_refusal() -> Iterator[type[Refusal]]:
    """The refusals that have a code, sorted by module; what refines another's hint only is left out."""
    for module in pkgutil.walk_packages(controlplane.__path__, "controlplane."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    yield from sorted(_below(Refusal), key=lambda each: (each.__module__, each.__qualname__))


def _below(parent: type[Refusal]) -> Iterator[type[Refusal]]:
    for child in parent.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from _below(child)


def _grid(meanings: Mapping[str, str], roles: Mapping[str, frozenset[str]]) -> list[str]:
    lines = [f"| permission | {' | '.join(roles)} | |", "|---|" + "---|" * (len(roles) + 1)]
    for name, meaning in meanings.items():
        marks = " | ".join("x" if name in held else "" for held in roles.values())
        lines.append(f"| `{name}` | {marks} | {meaning} |")
    return lines


def _reach() -> list[str]:
    lines = ["| permission | within | |", "|---|---|---|"]
    for name in PERMISSIONS:
        within = "runtimes" if name in WITHIN_RUNTIMES else "projects" if name in WITHIN_PROJECTS else ""
        note = "built-in only" if name in RESERVED else ""
        lines.append(f"| `{name}` | {within or ('tenant' if name in ANYWHERE else '')} | {note} |")
    return lines


def _takes(lock: Lock) -> str:
    if lock.open_because:
        return f"nothing: {lock.open_because}"
    takes = ", ".join(f"`{name}`" for name in (lock.permission, *lock.also) if name) or "being signed in"
    return f"{takes}, and a fresh proof of who it is" if lock.fresh else takes


def _hint(refusal: type[Refusal]) -> str:
    return refusal.hint if isinstance(refusal.hint, str) else "See the answer."


def _default(value: object) -> str:
    if value is None or value == "" or value is msgspec.NODEFAULT:
        return ""
    return f"`{','.join(map(str, value))}`" if type(value) is tuple and value else f"`{value}`"


def _field_docstrings(struct: type) -> dict[str, str]:
    """The sentence below each field."""
    [body] = ast.parse(inspect.getsource(struct)).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    name = ""
    for statement in body.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            found[name] = ""
        elif name and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            found[name] = " ".join(str(statement.value.value).split())
    return found


def main() -> None:
    for name, content in pages().items():
        (FOLDER / name).write_text(content)


if __name__ == "__main__":
    main()
