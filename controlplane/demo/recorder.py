"""Writes one session's files as EngineX does, with everything that is odd about it."""

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from random import Random
from typing import Any

from controlplane.demo.agents import PRICES, Agent
from controlplane.demo.plan import Visit

Json = dict[str, Any]


@dataclass
class Tally:
    """What a reader of the files should find."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_lines: int = 0
    micro_usd: int = 0


@dataclass
class Recorder:
    """One session folder. ``live``: every change is written when it happens; else all of it by :meth:`flush`."""

    folder: Path
    agent: Agent
    zone: tzinfo | None
    dice: Random
    live: bool = False
    served: bool = False
    """Begun by a server's trigger: state.json is partial, without id, status and start."""
    private: str = ""
    """Goes into every field that must never leave the machine."""
    state: Json = field(default_factory=dict)
    checkpoints: dict[str, Json] = field(default_factory=dict)
    """By file name: a second visit within a second writes over the first."""
    index: list[Json] = field(default_factory=list)
    logs: dict[str, list[Json]] = field(default_factory=dict)
    summary: Json | None = None
    tally: Tally = field(default_factory=Tally)
    trace: str = ""
    run_started: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    run_path: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def silent(self) -> bool:
        """Nothing was written: a server triggered it, and it crashed at once."""
        return not (self.checkpoints or self.logs or self.summary or self._has_state)

    @property
    def _has_state(self) -> bool:
        """What a server triggered has none until a node ended."""
        return not self.served or bool(self.state["progress"]["path"])

    def begin(self, at: datetime) -> None:
        """The process starts; the first write of state.json is atomic."""
        self._new_run(at)
        progress: Json = {
            "current_node": None,
            "paused_at": None,
            "steps_executed": 0,
            "path": [],
            "node_visit_counts": {},
        }
        self.state = {"progress": progress, "timestamps": {"updated_at": self.local(at)}, "memory": self._memory()}
        if not self.served:
            self.state = {**self._identity(), **self.state, **self._rest(), "status": "active"}
            self.state["timestamps"] = {
                "started_at": self.local(at),
                "updated_at": self.local(at),
                "completed_at": None,
                "paused_at_time": None,
            }
            if self.agent.pending:
                self.state |= {"claimed_by": "worker-1", "claimed_at": self.local(at)}
            if self.live:
                self._write_state(atomic=True)

    def resume(self, at: datetime) -> None:
        """A human let it go on: another run of the same session. Where it was ``paused``, the status stays so for ever."""
        self._new_run(at)
        if self.state.get("status") == "pending_human_approval":
            self.state["status"] = "active"
            self.state["timestamps"]["updated_at"] = self.local(at)
            if self.live:
                self._write_state(atomic=True)

    def continue_run(self, at: datetime) -> None:
        """Another process takes over in the middle of a run: new trace, same session."""
        self._new_run(at)

    def enter(self, visit: Visit, at: datetime) -> None:
        """A node begins."""
        self._checkpoint("node_start", visit.node.name, None, at)

    def leave(self, visit: Visit, at: datetime, following: str | None) -> None:
        """A node ended; state.json is read, changed and written back in place."""
        self.run_path.append(visit.node.name)
        self.tally.input_tokens += visit.input_tokens
        self.tally.output_tokens += visit.output_tokens
        self._log("details.jsonl", self._detail(visit))
        for step in range(visit.steps):
            self._log("tool_logs.jsonl", self._step(visit, step, at))
        if self.agent.costs:
            for step in range(visit.steps):
                self._cost(visit, step, at)
        if visit.error is None:
            if visit.node is not self.agent.nodes[-1]:
                self._checkpoint("node_complete", visit.node.name, following, at)
            self._progress(visit, at, following)

    def pause(self, at: datetime, visit: Visit | None, error: str | None) -> None:
        """For a human, or because the user said so; L1 alone calls the first a success."""
        waiting = error is None
        self._summarize("success" if waiting else "paused", at)
        progress = self.state["progress"]
        progress["current_node"] = progress["paused_at"] = progress["resume_from"] = visit.node.name if visit else None
        self._close("pending_human_approval" if waiting and self.agent.pending else "paused", at, error, paused=True)

    def finish(self, at: datetime, word: str, error: str | None = None, *, degraded: bool = False) -> None:
        """The graph came to its end. After a resume or a server's trigger only L1 says so."""
        failed = error is not None and word == "failed"
        self._summarize("failure" if failed else "degraded" if degraded else "success", at)
        if self.served or self.state["status"] == "paused":
            return
        self.state["progress"]["execution_quality"] = "failed" if failed else "degraded" if degraded else "clean"
        self._close(word, at, error, paused=False)

    def flush(self) -> None:
        """All files at once, where nothing was written on the way."""
        folder = str(self.folder)
        os.makedirs(f"{folder}/logs")
        os.mkdir(f"{folder}/checkpoints")
        if self._has_state:
            _put(f"{folder}/state.json", json.dumps(self.state))
        for name, lines in self.logs.items():
            _put(f"{folder}/logs/{name}", "".join(json.dumps(line) + "\n" for line in lines))
        if self.summary is not None:
            _put(f"{folder}/logs/summary.json", json.dumps(self.summary))
        for name, body in self.checkpoints.items():
            _put(f"{folder}/checkpoints/{name}", json.dumps(body))
        if self.index:
            _put(f"{folder}/checkpoints/index.json", json.dumps(self._index()))

    def local(self, at: datetime) -> str:
        """As the runtime writes instants into state.json and checkpoints: local, without a zone."""
        return at.astimezone(self.zone).replace(tzinfo=None).isoformat(timespec="microseconds")

    def seen(self) -> set[tuple[str, str]]:
        """Every checkpoint that index or files still tell of: (id, time)."""
        return {(row["checkpoint_id"], row["created_at"]) for row in (*self.index, *self.checkpoints.values())}

    def _new_run(self, at: datetime) -> None:
        self.run_started, self.run_path = at, []
        self.trace = f"{self.dice.getrandbits(128):032x}"

    def _identity(self) -> Json:
        return {
            "schema_version": "1.1",
            "session_id": self.name,
            "stream_id": "default",
            "correlation_id": self.name,
            "goal_id": f"{self.agent.name.replace('_', '-')}-goal",
            "agent_id": self.agent.name,
            "entry_point": "default",
            "result": {"success": None, "error": None, "output": {}},
        }

    def _rest(self) -> Json:
        return {
            "metrics": {"decision_count": 0, "total_input_tokens": 0, "total_output_tokens": 0, "nodes_executed": []},
            "problems": [],
            "decisions": [],
            "input_data": self._memory(),
            "isolation_level": "shared",
            "checkpoint_enabled": False,
            "latest_checkpoint_id": None,
            "is_resumable": False,
            "is_resumable_from_checkpoint": False,
        }

    def _memory(self) -> Json:
        return {self.agent.subject: f"{self.agent.subject}-{self.name[-8:]}", "notes": self.private or "within policy"}

    def _progress(self, visit: Visit, at: datetime, following: str | None) -> None:
        if self.served and visit.node is self.agent.nodes[-1]:
            return
        progress = self.state["progress"]
        name = visit.node.name
        progress["current_node"] = following or name
        progress["path"].append(name)
        progress["steps_executed"] = len(progress["path"])
        progress["node_visit_counts"][name] = progress["node_visit_counts"].get(name, 0) + 1
        progress["total_tokens"] = self.tally.input_tokens + self.tally.output_tokens
        progress["total_retries"] = progress.get("total_retries", 0) + (visit.attempt > 1)
        self.state["timestamps"]["updated_at"] = self.local(at)
        self.state["memory_keys"] = sorted(self.state["memory"])
        if self.live:
            self._write_state(atomic=False)

    def _close(self, word: str, at: datetime, error: str | None, *, paused: bool) -> None:
        self.state.pop("memory_keys", None)
        self.state["status"] = word
        self.state["result"] = {
            "success": error is None,
            "error": error,
            "output": {"summary": self.private or "done", "trace": f"/srv/agents/{self.agent.name}/{self.private}"},
        }
        started = datetime.fromisoformat(self.state["timestamps"]["started_at"])
        ended = self.local(at)
        self.state["timestamps"]["updated_at"] = ended
        self.state["timestamps"]["paused_at_time" if paused else "completed_at"] = ended
        self.state["duration_ms"] = max(0, round((datetime.fromisoformat(ended) - started).total_seconds() * 1000))
        if self.live:
            self._write_state(atomic=True)

    def _summarize(self, outcome: str, at: datetime) -> None:
        lines = self.logs.get("details.jsonl", [])
        reasons = [f"Node {line['node_id']} failed: {line['error']}" for line in lines if line["error"]]
        reasons += [f"High latency: {line['latency_ms']}ms" for line in lines if line["latency_ms"] > 60_000]
        self.summary = {
            "run_id": self.name,
            "agent_id": self.agent.name,
            "goal_id": f"{self.agent.name.replace('_', '-')}-goal",
            "status": outcome,
            "total_nodes_executed": len(self.run_path),
            "node_path": self.run_path,
            "total_input_tokens": self.tally.input_tokens,
            "total_output_tokens": self.tally.output_tokens,
            "needs_attention": bool(reasons),
            "attention_reasons": reasons,
            "started_at": self.run_started.astimezone(UTC).isoformat(timespec="microseconds"),
            "duration_ms": round((at - self.run_started).total_seconds() * 1000),
            "execution_quality": {"failure": "failed", "degraded": "degraded"}.get(outcome, "clean"),
            "trace_id": self.trace,
            "execution_id": f"{self.dice.getrandbits(128):032x}",
        }
        if self.live:
            self._replace("logs/summary.json", self.summary)

    def _detail(self, visit: Visit) -> Json:
        failed = visit.error is not None
        return {
            "node_id": visit.node.name,
            "node_name": visit.node.title,
            "node_type": visit.node.type,
            "success": not failed,
            "error": visit.error,
            "stacktrace": f'File "/srv/engine/core/graph.py", line 214\n{self.private}' if failed else "",
            "total_steps": visit.steps,
            "tokens_used": visit.input_tokens + visit.output_tokens,
            "input_tokens": visit.input_tokens,
            "output_tokens": visit.output_tokens,
            "latency_ms": round(visit.seconds * 1000),
            "attempt": visit.attempt,
            "exit_status": visit.outcome,
            "retry_count": max(0, visit.steps - 2),
            "needs_attention": failed,
            "attention_reasons": [],
            "trace_id": self.trace,
            "span_id": f"{self.dice.getrandbits(64):016x}",
        }

    def _step(self, visit: Visit, step: int, at: datetime) -> Json:
        call = {
            "tool_use_id": f"toolu_{self.dice.getrandbits(48):012x}",
            "tool_name": visit.node.tools[step % len(visit.node.tools)],
            "tool_input": {"q": self.private or self.agent.subject},
            "result": self.private or "ok",
            "is_error": False,
            "start_timestamp": at.astimezone(UTC).isoformat(timespec="microseconds"),
            "duration_s": 0.0,
        }
        return {
            "node_id": visit.node.name,
            "node_type": visit.node.type,
            "step_index": step,
            "llm_text": self.private or "Done.",
            "tool_calls": [call],
            "input_tokens": visit.input_tokens // visit.steps,
            "output_tokens": visit.output_tokens // visit.steps,
            "verdict": "ACCEPT" if step == visit.steps - 1 else "RETRY",
            "verdict_feedback": self.private,
            "error": "",
            "is_partial": False,
            "trace_id": self.trace,
        }

    def _cost(self, visit: Visit, step: int, at: datetime) -> None:
        price_in, price_out = PRICES[self.agent.model]
        tokens_in, tokens_out = visit.input_tokens // visit.steps, visit.output_tokens // visit.steps
        cost = round((tokens_in * price_in + tokens_out * price_out) / 1e6, 6)
        self.tally.cost_lines += 1
        self.tally.micro_usd += round(cost * 1e6)
        line = {
            "entry_id": f"{self.dice.getrandbits(128):032x}",
            "session_id": self.name,
            "node_id": visit.node.name,
            "attempt": visit.attempt,
            "step_index": step,
            "invocation_type": "llm",
            "model": self.agent.model,
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "cost_usd": cost,
            "tool_name": None,
            "duration_s": round(visit.seconds / visit.steps, 3),
            "timestamp": at.astimezone(UTC).isoformat(timespec="microseconds"),
            "parent_session_id": None,
            "flags": ["retry_storm:" + visit.node.name] if visit.attempt > 2 else [],
        }
        self._log("cost_attribution.jsonl", line)

    def _checkpoint(self, kind: str, node: str, following: str | None, at: datetime) -> None:
        stamp = at.astimezone(self.zone).strftime("%Y%m%d_%H%M%S")
        row = {
            "checkpoint_id": f"cp_{kind}_{node}_{stamp}",
            "checkpoint_type": kind,
            "created_at": self.local(at),
            "current_node": node,
            "next_node": following,
            "is_clean": True,
            "description": f"{kind.replace('_', ' ').title()}: {node} {self.private}".rstrip(),
        }
        body = {
            "checkpoint_id": row["checkpoint_id"],
            "checkpoint_type": kind,
            "session_id": self.name,
            **{name: row[name] for name in ("created_at", "current_node", "next_node")},
            "execution_path": list(self.state["progress"]["path"]),
            "shared_memory": self._memory(),
            "accumulated_outputs": {},
            "metrics_snapshot": {},
            "is_clean": True,
            "description": row["description"],
        }
        name = f"{row['checkpoint_id']}.json"
        self.checkpoints[name] = body
        self.index.append(row)
        if self.live:
            self._replace(f"checkpoints/{name}", body)
            self._replace("checkpoints/index.json", self._index())

    def _index(self) -> Json:
        return {
            "session_id": self.name,
            "checkpoints": self.index,
            "latest_checkpoint_id": self.index[-1]["checkpoint_id"],
            "total_checkpoints": len(self.index),
        }

    def _log(self, name: str, line: Json) -> None:
        self.logs.setdefault(name, []).append(line)
        if self.live:
            path = self.folder / "logs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def _write_state(self, *, atomic: bool) -> None:
        if atomic:
            self._replace("state.json", self.state)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "state.json").write_text(json.dumps(self.state, indent=2))

    def _replace(self, name: str, body: Json) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_name(path.name + ".tmp")
        written.write_text(json.dumps(body, indent=2))
        os.replace(written, path)


def _put(path: str, text: str) -> None:
    """Ten thousand sessions are more than a hundred thousand files: nothing but the system calls."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
