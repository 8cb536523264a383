"""A disk that takes nothing more, under the real program: a limit on how long its files may get, set and lifted."""

import resource
import shutil
import subprocess
import sys

from tests.agent.homes import NOW, SessionFolder, checkpoint
from tests.agent.programs import environment, join, run, until
from tests.agent.reference import ReferenceServer
from tests.agent.serving import serving

FULL = 48 << 10
"""Bytes: enough to open the outbox, not for what thirty sessions come to."""

MANY = 30


def session(source, number):
    folder = SessionFolder(source, name=f"session_20261120_0000{number:02}_0a1b2c3d")
    folder.state()
    folder.summary()
    folder.checkpoint(checkpoint("node_start", "intake", NOW))
    return folder


def shorten():
    """In the child: no file grows beyond the limit, which can be lifted again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, resource.RLIM_INFINITY))


def test_what_cannot_be_kept_is_read_again_later_and_what_vanished_meanwhile_is_named(tmp_path):
    server, home, source = ReferenceServer(), tmp_path / "agent", tmp_path / "engine"
    (source / "agents").mkdir(parents=True)
    with serving(server) as url:
        assert join(home, url, source).returncode == 0
        assert run(home, "once").returncode == 0
        folders = [session(source, number) for number in range(MANY)]

        words = [sys.executable, "-m", "runtime_agent", "run"]
        with subprocess.Popen(words, env=environment(home), preexec_fn=shorten, stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: "disk-full" in {each.code for beat in server.heartbeats for each in beat.troubles})
                shutil.rmtree(folders[0].path)
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
                until(lambda: any(line["kind"] == "gap" for line in server.lines()))
            finally:
                process.kill()

    [gap] = [line for line in server.lines() if line["kind"] == "gap"]
    assert (gap["reason"], gap["count"]) == ("disk-full", 1)
    said = {line["session"] for line in server.lines() if line["kind"] == "session"}
    assert said == {folder.path.name for folder in folders[1:]}
