"""What a limited role must not see is kept out of statements in SQL too, which nothing narrows by itself."""

import ast
import re
from pathlib import Path

from controlplane.db.sight import BY_PROJECT, BY_RUNTIME

ROOT = Path(__file__).parents[2]
READS = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)")
GIVEN = re.compile(r":seen\b|:sessions\b|:runtimes\b|= :session_id|= :runtime_id|:tenant_id AND \w*\.?id = :")
"""The sight itself, or what a room has found within it."""

OF_THE_SYSTEM = {
    "TALKING",
    "CROWD",
    "KEEP",
    "SEE_AGENTS",
    "RUNTIME_ROUTES",
    "UNROUTED",
    "ENDED",
    "STRAY",
    "PRUNE_CONTENTS",
    "CONTENT_HOLDERS",
}
"""Chores, imports and what runtimes report: nobody with a role is behind them."""

OPERATORS = {"tenants.py:NEWEST", "tenants.py:COUNTS"}
"""Whoever looks at them looks at whole tenants."""


def statements():
    for folder in ("controlplane/http", "controlplane/domain"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
                    name = getattr(node.target if isinstance(node, ast.AnnAssign) else node.targets[0], "id", "")
                    if getattr(node.value.func, "id", "") == "text" and isinstance(node.value.args[0], ast.Constant):
                        yield f"{path.name}:{name}", name, str(node.value.args[0].value)


def test_every_statement_in_sql_that_reads_what_is_limited_names_what_is_seen():
    limited = {*BY_RUNTIME, *BY_PROJECT} - {"projects"}
    open_ones = [
        place
        for place, name, sql in statements()
        if "SELECT" in sql and limited & set(READS.findall(sql)) and name not in OF_THE_SYSTEM and not GIVEN.search(sql)
    ]

    assert set(open_ones) == OPERATORS


def test_there_are_such_statements():
    assert sum(":seen" in sql for _, _, sql in statements()) >= 7
