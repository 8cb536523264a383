"""The agents of the demo: what they do, node by node, and how it goes wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    name: str
    title: str
    tools: tuple[str, ...]
    seconds: tuple[float, float] = (2.0, 18.0)
    """Fastest and slowest usual visit."""
    tokens: tuple[int, int] = (900, 4200)
    """Fewest and most usual input tokens."""
    type: str = "event_loop"


@dataclass(frozen=True)
class Agent:
    name: str
    model: str
    nodes: tuple[Node, ...]
    errors: tuple[str, ...]
    """First lines of what goes wrong, as the runtime tells them."""
    weight: int = 3
    """How often it runs, against the others."""
    failing: float = 0.12
    """Share of its sessions that fail."""
    approval: str | None = None
    """The node that waits for a human; it comes last but for what follows in ``nodes``."""
    loop: tuple[str, str] | None = None
    """From here it sometimes goes back to there."""
    costs: bool = False
    """Writes ``cost_attribution.jsonl``."""
    pending: bool = False
    """Says ``pending_human_approval`` where older versions say ``paused``."""
    served: float = 0.0
    """Share of its sessions that a server triggers, which leaves state.json partial."""
    subject: str = "document"

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)


PRICES = {
    "claude-sonnet-4-5": (3.0, 15.0),
    "claude-haiku-4-5": (1.0, 5.0),
    "gpt-5-mini": (0.25, 2.0),
    "gemini-2.5-flash": (0.3, 2.5),
}
"""US dollars per million input and output tokens."""

RATE_LIMITED = (
    'litellm.RateLimitError: AnthropicException - {"type":"error","error":{"type":"rate_limit_error",'
    '"message":"This request would exceed your organization\'s rate limit of 80,000 input tokens per minute"}}'
)
OVERLOADED = 'litellm.InternalServerError: AnthropicException - {"type":"error","error":{"type":"overloaded_error"}}'

AGENTS = (
    Agent(
        "invoice_review",
        "claude-sonnet-4-5",
        (
            Node("intake", "Intake", ("read_document",)),
            Node("extract_lines", "Extract Lines", ("parse_table", "set_output"), tokens=(2400, 9800)),
            Node("match_purchase_order", "Match Purchase Order", ("search_orders", "set_output")),
            Node("approve_exception", "Approve Exception", ("set_output",), (1.0, 4.0)),
            Node("post_to_ledger", "Post to Ledger", ("ledger_post", "set_output"), (1.5, 6.0)),
        ),
        (
            "Node 'Match Purchase Order' failed after 3 attempts: ToolError: purchase order 4500078112 is closed",
            "httpx.ConnectTimeout: timed out connecting to https://erp.internal:8443",
            "KeyError: 'vat_rate'",
        ),
        weight=6,
        failing=0.14,
        approval="approve_exception",
        costs=True,
        subject="invoice",
    ),
    Agent(
        "contract_risk",
        "claude-sonnet-4-5",
        (
            Node("intake", "Intake", ("read_document",)),
            Node("extract_clauses", "Extract Clauses", ("search_clauses", "set_output"), (5.0, 40.0), (4000, 22000)),
            Node("risk_review", "Risk Review", ("set_output",), (6.0, 55.0), (5000, 26000)),
            Node("human_review", "Human Review", ("set_output",), (1.0, 3.0)),
            Node("report", "Report", ("save_data", "set_output")),
        ),
        (
            "Node 'Risk Review' failed after 0 attempts: Node stalled: 3 consecutive identical responses",
            "litellm.ContextWindowExceededError: prompt is too long: 214332 tokens > 200000 maximum",
            RATE_LIMITED,
        ),
        weight=3,
        approval="human_review",
        subject="agreement",
    ),
    Agent(
        "support_triage",
        "claude-haiku-4-5",
        (
            Node("classify", "Classify", ("set_output",), (0.8, 4.0), (600, 1500)),
            Node("retrieve_context", "Retrieve Context", ("search_tickets", "search_docs"), (1.5, 9.0)),
            Node("draft_reply", "Draft Reply", ("set_output",), (2.0, 12.0)),
            Node("qa_check", "QA Check", ("set_output",), (1.0, 5.0)),
            Node("send_reply", "Send Reply", ("helpdesk_reply",), (0.5, 2.0)),
        ),
        (
            "Node 'Draft Reply' failed after 0 attempts: Node stalled: 3 consecutive identical responses",
            "ToolError: helpdesk answered 429 Too Many Requests",
            OVERLOADED,
        ),
        weight=12,
        failing=0.09,
        loop=("qa_check", "draft_reply"),
        costs=True,
        subject="ticket",
    ),
    Agent(
        "log_monitor",
        "gpt-5-mini",
        (
            Node("poll_logs", "Poll Logs", ("query_loki",), (0.2, 0.9), (400, 1300)),
            Node("cluster", "Cluster", ("set_output",), (0.05, 0.2), (500, 1600)),
            Node("diagnose", "Diagnose", ("query_loki", "query_prometheus"), (0.05, 0.5), (900, 3500)),
            Node("open_incident", "Open Incident", ("pager_create", "set_output"), (0.4, 1.2)),
        ),
        (
            'litellm.AuthenticationError: OpenAIException - {"error":{"type":"invalid_request_error","code":"invalid_api_key"}}',
            "httpx.ReadTimeout: timed out reading from https://loki.internal:3100",
        ),
        weight=14,
        failing=0.07,
        loop=("diagnose", "cluster"),
        served=0.35,
        subject="window",
    ),
    Agent(
        "claims_intake",
        "claude-sonnet-4-5",
        (
            Node("intake", "Intake", ("read_document",)),
            Node("check_eligibility", "Check Eligibility", ("payer_270", "set_output"), (3.0, 25.0)),
            Node("code_claim", "Code Claim", ("search_codes", "set_output"), (4.0, 30.0), (3000, 12000)),
            Node("scrub_claim", "Scrub Claim", ("claim_scrubber",), (1.0, 6.0)),
            Node("biller_approval", "Biller Approval", ("set_output",), (0.8, 2.0)),
            Node("submit_claim", "Submit Claim", ("payer_837", "set_output"), (2.0, 8.0)),
        ),
        (
            "ToolError: payer gateway refused the transaction: AAA*N**72",
            "CredentialError: the token of clearinghouse:billing-east has expired; authorize again",
            "Node 'Code Claim' failed after 3 attempts: GuardFailure: code set mismatch",
        ),
        weight=5,
        failing=0.16,
        approval="biller_approval",
        loop=("scrub_claim", "code_claim"),
        costs=True,
        pending=True,
        subject="claim",
    ),
    Agent(
        "lead_research",
        "gemini-2.5-flash",
        (
            Node("plan", "Plan", ("set_output",), (1.0, 5.0)),
            Node("search_web", "Search the Web", ("web_search", "fetch_page"), (4.0, 45.0), (1500, 9000)),
            Node("enrich", "Enrich", ("crm_lookup", "set_output"), (2.0, 14.0)),
            Node("score", "Score", ("set_output",), (1.0, 4.0)),
            Node("write_brief", "Write Brief", ("save_data", "set_output"), (3.0, 20.0)),
        ),
        (
            "litellm.ServiceUnavailableError: GeminiException - 503 The model is overloaded",
            "ToolError: crm answered 403 Forbidden: scope contacts.read is missing",
        ),
        weight=5,
        loop=("enrich", "search_web"),
        costs=True,
        subject="account",
    ),
    Agent(
        "release_notes",
        "claude-haiku-4-5",
        (
            Node("collect_commits", "Collect Commits", ("git_log", "set_output"), (1.0, 5.0)),
            Node("group_changes", "Group Changes", ("set_output",)),
            Node("draft", "Draft", ("set_output",), (3.0, 16.0)),
            Node("maintainer_review", "Maintainer Review", ("set_output",), (0.8, 2.0)),
            Node("publish", "Publish", ("github_release",), (1.0, 3.0)),
        ),
        (
            "ToolError: github answered 401 Bad credentials",
            "subprocess.TimeoutExpired: git log timed out after 60 seconds",
        ),
        weight=2,
        failing=0.1,
        approval="maintainer_review",
        subject="release",
    ),
    Agent(
        "data_quality",
        "gpt-5-mini",
        (
            Node("sample_tables", "Sample Tables", ("run_query", "set_output"), (3.0, 30.0)),
            Node("profile", "Profile", ("run_query",), (5.0, 70.0), (1200, 5200)),
            Node("detect_anomalies", "Detect Anomalies", ("set_output",), (2.0, 12.0)),
            Node("explain", "Explain", ("set_output",), (2.0, 15.0)),
            Node("notify", "Notify", ("slack_post",), (0.5, 2.0)),
        ),
        (
            "psycopg.errors.QueryCanceled: canceling statement due to statement timeout",
            "Node 'Profile' failed after 3 attempts: Node stalled: 3 consecutive identical responses",
        ),
        weight=4,
        failing=0.13,
        served=0.2,
        subject="dataset",
    ),
)
