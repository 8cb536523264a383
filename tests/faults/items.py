"""What must not be lost and must not be doubled, named by what the source itself calls it.

An item is a tuple: ``("session", "<agent>/<session>")``, ``("run", "<session's>/<start of L1>")``,
``("checkpoint", "<session's>/<id>/<time>")``, ``("cost", "<entry id>")``, and for sessions whose folder is gone
``("state", "<session's>", …)`` with all that counts of their last state.
"""

import msgspec


class Line(msgspec.Struct):
    """The fields of any record that name it, or count."""

    kind: str
    agent: str = ""
    session: str = ""
    run: str = ""
    checkpoint: str = ""
    created_raw: str = ""
    entry: str = ""
    status: str = ""
    waiting_for: str | None = None
    steps: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    logged_input_tokens: int = 0
    logged_output_tokens: int = 0


_line = msgspec.json.Decoder(Line)

COUNTED = ("steps", "input_tokens", "output_tokens", "logged_input_tokens", "logged_output_tokens")

SESSIONS = """
    SELECT agent, source_id AS session, status, waiting_for, input_tokens, output_tokens,
        coalesce(CAST(told ->> 'steps' AS bigint), 0) AS steps,
        coalesce(CAST(told ->> 'logged_input_tokens' AS bigint), 0) AS logged_input_tokens,
        coalesce(CAST(told ->> 'logged_output_tokens' AS bigint), 0) AS logged_output_tokens
    FROM sessions
"""
RUNS = "SELECT s.agent, s.source_id AS session, r.source_id FROM runs r LEFT JOIN sessions s ON s.id = r.session_id"
CHECKPOINTS = (
    "SELECT s.agent, s.source_id AS session, c.source_id, c.created_at"
    " FROM checkpoints c LEFT JOIN sessions s ON s.id = c.session_id"
)
COSTS = "SELECT source_id FROM cost_entries"


def state(key, record):
    """All that counts of a session's state; *record* has the fields of :class:`Line`."""
    told = record.status if not record.waiting_for else f"{record.status}/{record.waiting_for}"
    return ("state", key, told, *(getattr(record, name) for name in COUNTED))


def item_of_line(line):
    """The items that a line of the agent's log carries."""
    record = _line.decode(line)
    key = f"{record.agent}/{record.session}"
    match record.kind:
        case "session":
            return [("session", key), state(key, record)]
        case "run":
            return [("run", f"{key}/{record.run}")]
        case "checkpoint":
            return [("checkpoint", f"{key}/{record.checkpoint}/{record.created_raw}")]
        case "cost":
            return [("cost", record.entry)]
    return []


def shown(ask):
    """The items in the server's tables, one for each row: what is there twice is here twice."""
    found = []
    for row in ask(SESSIONS):
        key = f"{row['agent']}/{row['session']}"
        found += [("session", key), state(key, Line(kind="session", **dict(row)))]
    for row in ask(RUNS):
        found.append(("run", f"{row['agent']}/{row['session']}/{row['source_id']}"))
    for row in ask(CHECKPOINTS):
        made = row["created_at"].replace(tzinfo=None).isoformat(timespec="microseconds")
        found.append(("checkpoint", f"{row['agent']}/{row['session']}/{row['source_id']}/{made}"))
    return found + [("cost", row["source_id"]) for row in ask(COSTS)]
