"""``--help`` is quick because nothing heavy is loaded for it: measured by what is loaded, not by a clock."""

import subprocess
import sys

import pytest

HEAVY = {
    "alembic",
    "argon2",
    "asyncio",
    "asyncpg",
    "cryptography",
    "granian",
    "httpx",
    "litestar",
    "redis",
    "sqlalchemy",
    "watchfiles",
    "zstandard",
}

HELP = """
import sys
sys.argv = ["program", *sys.argv[2:]]
from {module} import main
try:
    main()
except SystemExit as end:
    status = end.code or 0
sys.stderr.write("\\n".join(sorted({{name.partition(".")[0] for name in sys.modules}})))
sys.exit(status)
"""


@pytest.mark.parametrize("words", [["--help"], ["up", "--help"], ["tenant", "create", "--help"], ["doctor", "--help"]])
def test_help_of_the_control_plane_loads_nothing_heavy(words):
    done = ask("controlplane.cli", words)

    assert "Usage:" in done.stdout
    assert set(done.stderr.split()) & HEAVY == set()


@pytest.mark.parametrize("words", [["--help"], ["join", "--help"]])
def test_help_of_the_agent_loads_nothing_heavy(words):
    done = ask("runtime_agent.cli", words)

    assert "usage:" in done.stdout
    assert set(done.stderr.split()) & (HEAVY - {"asyncio"}) == set()


def ask(module, words):
    done = subprocess.run(
        [sys.executable, "-c", HELP.format(module=module), "-", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done
