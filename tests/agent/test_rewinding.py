"""Going back to a checkpoint and taking that back: what stands on the disk, what is refused, and death between any two steps."""

import fcntl
import json
import os
import resource
import signal
import sys
from datetime import timedelta

import pytest

from runtime_agent.sources.acting import Failed
from runtime_agent.sources.engine.rewinding import KEPT_FOR, EngineRewinding, Sight
from runtime_agent.swapping import SHELF, exchanged
from runtime_agent.wire.records import RunState, SessionState
from tests.agent.homes import AGENT, NAME, NOW, SessionFolder, checkpoint, engine, naive, only, read, state, summary

FIRST, SECOND = "cmd_" + "1" * 26, "cmd_" + "2" * 26
NODES = ("intake", "review", "report")
SIGHT = Sight(NOW, None)


def made(node, n, kind="node_complete"):
    """The *n*th checkpoint, whose memory grew with each."""
    following = NODES[n + 1] if n + 1 < len(NODES) else None
    return {
        **checkpoint(kind, node, NOW - timedelta(minutes=50 - n)),
        "session_id": NAME,
        "next_node": following,
        "execution_path": list(NODES[: n + 1]),
        "shared_memory": {f"found_{each}": n for each in range(n + 1)},
    }


CHECKPOINTS = [made(node, n) for n, node in enumerate(NODES)]
NAMES = [each["checkpoint_id"] for each in CHECKPOINTS]


class Home:
    def __init__(self, path, exchange=exchanged):
        self.path, self.folder = path, SessionFolder(path)
        self.live = self.folder.path
        self.furnish()
        self.source = engine(path)
        self.rewinding = EngineRewinding(self.source, None, exchange)

    def furnish(self):
        self.folder.state(state(memory={"all": "of it"}, progress={"path": list(NODES), "total_tokens": 99}))
        self.folder.summary()
        self.folder.lines("details.jsonl", [{"node_id": "intake", "exit_status": "success"}], tail=b'{"half')
        self.folder.write("conversations/parts/0000000000.json", {"role": "user"})
        self.folder.write("data/web_search_1.txt", b"spilled")
        for each in CHECKPOINTS:
            self.folder.checkpoint(each)
        self.folder.index([{k: each[k] for k in list(each)[:7]} for each in CHECKPOINTS])

    def back(self, n=0, name=FIRST, content=None, sight=SIGHT):
        content = json.dumps(CHECKPOINTS[n]).encode() if content is None else content
        self.rewinding.roll_back(AGENT, NAME, (NAMES[n], content), name, sight)

    def undo(self, undone=FIRST, name=SECOND):
        self.rewinding.undo(AGENT, NAME, undone, name, SIGHT)

    def everything(self):
        """Every name below the session with what is there, its mode and its time."""
        return {
            str(path.relative_to(self.live)): (
                path.read_bytes() if path.is_file() else None,
                path.stat().st_mode,
                path.stat().st_mtime_ns,
            )
            for path in sorted(self.live.rglob("*"))
        }

    def json(self, name):
        return json.loads((self.live / name).read_bytes())

    def left_over(self):
        return [path.name for path in (self.live.parent / SHELF).rglob("*.doing")]


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "engine")


def test_the_files_are_what_the_checkpoint_holds_and_the_rest_stays(home):
    home.folder.summary(summary(node_path=list(NODES)))
    before = home.everything()

    home.back(1)

    held = CHECKPOINTS[1]
    now = home.json("state.json")
    assert (now["memory"], now["progress"]["path"]) == (held["shared_memory"], held["execution_path"])
    assert (now["status"], now["progress"]["resume_from"], now["progress"]["total_tokens"]) == ("paused", "report", 99)
    assert (home.live / f"checkpoints/{NAMES[1]}.json").read_bytes() == json.dumps(held).encode()
    assert sorted(path.name for path in home.live.glob("checkpoints/cp_*")) == sorted(f"{n}.json" for n in NAMES[:2])
    index = home.json("checkpoints/index.json")
    assert [row["checkpoint_id"] for row in index["checkpoints"]] == NAMES[:2]
    assert (index["latest_checkpoint_id"], index["total_checkpoints"]) == (NAMES[1], 2)
    assert not (home.live / "conversations").exists()
    kept = {"data/web_search_1.txt", "logs/details.jsonl", "logs/summary.json"}
    assert {name: home.everything()[name] for name in kept} == {name: before[name] for name in kept}
    told = only(read(home.path, now=NOW + timedelta(seconds=1)), SessionState)
    assert (told.status, told.waiting_for, told.path) == ("waiting", "resume", held["execution_path"])
    assert only(read(home.path), RunState).status == "succeeded"


def test_the_undo_restores_exactly_what_was_and_can_itself_be_undone(home):
    before = home.everything()
    home.back(0)
    rolled_back = home.everything()

    home.undo()
    assert home.everything() == before
    home.undo(undone=SECOND, name="cmd_" + "3" * 26)

    assert home.everything() == rolled_back
    with pytest.raises(Failed) as over:
        home.undo(undone=FIRST, name="cmd_" + "4" * 26)
    assert over.value.code == "nothing-kept"


def test_done_again_it_changes_nothing(home):
    home.back(0)
    after = home.everything()
    (home.live / "state.json").write_bytes(b"the runtime went on")

    home.back(0)

    assert (home.live / "state.json").read_bytes() == b"the runtime went on"
    assert after.keys() == home.everything().keys()


def running(home):
    began = NOW - timedelta(hours=1)
    stamps = {"started_at": naive(began), "updated_at": naive(NOW - timedelta(minutes=1))}
    home.folder.state(state(status="active", timestamps=stamps))


def half_written(home):
    (home.live / "state.json").write_bytes(b"")
    os.utime(home.live / "state.json", (NOW.timestamp(), NOW.timestamp()))


def gone(home):
    home.live.rename(home.live.with_name("elsewhere"))


def a_link(home):
    elsewhere = home.path.parent / "elsewhere"
    home.live.rename(elsewhere)
    home.live.symlink_to(elsewhere)


def a_linked_folder(home):
    (home.live / "checkpoints").rename(home.path.parent / "elsewhere")
    (home.live / "checkpoints").symlink_to(home.path.parent / "elsewhere")


def a_linked_shelf(home):
    (home.path.parent / "elsewhere").mkdir()
    (home.live.parent / SHELF).symlink_to(home.path.parent / "elsewhere")


def a_pipe(home):
    os.mkfifo(home.live / "data/pipe")


@pytest.mark.parametrize(
    ("hinder", "code"),
    [
        (running, "session-running"),
        (half_written, "session-running"),
        (gone, "session-gone"),
        (a_link, "path-outside-home"),
        (a_linked_folder, "path-outside-home"),
        (a_linked_shelf, "path-outside-home"),
        (a_pipe, "session-odd"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(home, hinder, code):
    hinder(home)
    before = sorted(path for path in home.path.parent.rglob("*") if SHELF not in path.parts)

    with pytest.raises(Failed) as refused:
        home.back()

    assert refused.value.code == code
    assert sorted(path for path in home.path.parent.rglob("*") if SHELF not in path.parts) == before
    assert home.left_over() == []


@pytest.mark.parametrize("session", ["../../../other", "..", ".runtime-agent", "a/b", ""])
def test_no_name_leads_out_of_the_home(home, session):
    with pytest.raises(Failed) as refused:
        home.rewinding.roll_back(AGENT, session, (NAMES[0], b"{}"), FIRST, SIGHT)

    assert refused.value.code == "path-outside-home"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "content-damaged"),
        (json.dumps(CHECKPOINTS[1]).encode(), "content-damaged"),
        (json.dumps({**CHECKPOINTS[0], "session_id": "another"}).encode(), "content-damaged"),
        (json.dumps({**CHECKPOINTS[0], "shared_memory": None}).encode(), "checkpoint-unfit"),
        (json.dumps({**CHECKPOINTS[0], "next_node": None, "current_node": None}).encode(), "checkpoint-unfit"),
    ],
)
def test_what_is_no_such_checkpoint_is_not_put_in_place(home, content, code):
    before = home.everything()

    with pytest.raises(Failed) as refused:
        home.back(0, content=content)

    assert (refused.value.code, home.everything()) == (code, before)


def test_a_session_that_a_worker_holds_is_left_alone_and_an_undo_too(home):
    home.back()
    lock = home.live / "state.json.lock"
    lock.touch()
    after = home.everything()
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for act in (lambda: home.back(1, SECOND), home.undo):
            with pytest.raises(Failed) as refused:
                act()
            assert refused.value.code == "session-running"

    assert (home.everything(), home.left_over()) == (after, [])
    home.undo()


def test_on_a_full_disk_nothing_changes(home):
    home.folder.write("data/large.txt", bytes(100_000))
    before = home.everything()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(Failed) as refused:
            home.back()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (refused.value.code, home.everything(), home.left_over()) == ("disk-full", before, [])


def test_what_was_kept_for_a_month_goes(home):
    home.back()

    assert home.rewinding.forget(NOW) == 0
    assert home.rewinding.forget(NOW + KEPT_FOR * 30) == 1

    with pytest.raises(Failed):
        home.undo()


CHANGES = frozenset({"os.rename", "os.mkdir", "os.remove", "os.rmdir"})


def changes(event, arguments):
    """Whether something lasting is about to happen."""
    return event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))


def killed(work, step):
    """Do *work* in a process of its own that is killed before the given step; False if it has fewer."""
    pid = os.fork()
    if pid == 0:
        left = [step]

        def hook(event, arguments):
            if changes(event, arguments):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def cannot(one, other):
    """A file system that cannot exchange two names."""
    return False


@pytest.mark.parametrize("exchange", [exchanged, cannot])
def test_killed_between_any_two_steps_it_is_the_one_or_the_other_and_begun_again_it_ends(tmp_path, exchange):
    example = Home(tmp_path / "example")
    old = example.json("state.json")
    example.back(1)
    new = example.json("state.json")
    for step in range(200):
        home = Home(tmp_path / f"at-{step}", exchange)
        before = home.everything()
        was_killed = killed(lambda home=home: home.back(1), step)
        if exchange is exchanged:
            assert home.json("state.json") in (old, new), "never half of it"
        home.back(1)
        assert (home.json("state.json"), home.left_over()) == (new, [])
        was_killed |= killed(home.undo, step)
        home.undo()
        assert (home.everything(), home.left_over()) == (before, [])
        if not was_killed:
            assert step > 20
            return
    pytest.fail("there are more places to die at than were tried")
