"""The agent needs its own few packages and nothing of the server; the server takes only the wire from it."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[2]
AGENT_NEEDS = {"cryptography", "httpx", "msgspec", "tzdata", "watchfiles", "zstandard"}
"""What an owner of a runtime has to let into his network. One more is a decision: docs/decisions/dependencies.md."""

LOADS_EVERYTHING = """
import importlib, pkgutil, sys
import runtime_agent
for found in pkgutil.walk_packages(runtime_agent.__path__, "runtime_agent."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
sys.stdout.write("\\n".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_agents_dependencies_are_these():
    assert {name_of(requirement) for requirement in project()["dependencies"]} == AGENT_NEEDS


def test_importing_all_of_the_agent_loads_only_its_own_packages():
    done = subprocess.run(
        [sys.executable, "-c", LOADS_EVERYTHING], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())

    extras = project()["optional-dependencies"]
    servers = {name_of(requirement).replace("-", "_") for requirement in extras["server"] + extras["embedded"]}
    assert servers & {"litestar", "sqlalchemy", "asyncpg"}
    assert loaded & (servers | {"controlplane"}) - allowed() == set()


def allowed():
    """What the agent's own packages bring along, such as a command line of httpx."""
    brought = {name_of(found) for need in AGENT_NEEDS for found in requires(need) or []}
    return {name.replace("-", "_") for name in brought}


def test_the_server_takes_nothing_but_the_wire_from_the_agent():
    others = []
    for path in (ROOT / "controlplane").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            others += [
                f"{path.relative_to(ROOT)}: {name}"
                for name in names
                if name.startswith("runtime_agent") and not re.match(r"runtime_agent\.wire(\.|$)", name)
            ]
    assert others == []
