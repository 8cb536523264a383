"""Files and functions that grew past the point where one reads them whole."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("controlplane", "runtime_agent", "benchmarks", "tests")
FILE_LINES, FUNCTION_LINES = 400, 50


def files():
    return sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))


def test_no_file_is_longer_than_one_reads():
    long = {}
    for path in files():
        name, lines = str(path.relative_to(ROOT)), len(path.read_text().splitlines())
        if lines > FILE_LINES:
            long[name] = lines
    assert long == {}


def test_no_function_is_longer_than_a_screen():
    long = {}
    for path in files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}
