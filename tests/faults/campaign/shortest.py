"""The shortest ways to the damage that the model finds where a rule is missing, for the real programs to go."""

GOES = "write look send send"
"""Something is written, a hello, an append."""

SHORTEST = {
    "no-cursor-check": f"{GOES} backup write look send beat vanish look send restore",
    "prune-on-ack": f"{GOES} backup write look send beat prune restore",
    "no-fencing-no-chain": f"{GOES} snap write look send rollback look send send beat",
    "no-chain": f"{GOES} snap write look send rollback write look send send send beat",
    "no-diff": f"{GOES} snap write look send rollback look send send",
    "cursor-outside-transaction": " ".join(f"write look send send:server-dies:{part}" for part in (0.5, 0.7, 0.9, 1.1)),
    "ack-before-commit": f"{GOES} write snap look send send:server-dies:99 rollback",
    "no-fencing": f"{GOES} write look send send write look send snap write look send rollback write look send send beat",
    "no-head-in-ack-nor-durable": f"{GOES} snap write look send:late rollback write look send arrive send beat backup beat prune restore",
    "no-store-id": f"{GOES} backup write look send:copy restore write look send send snap rollback look send arrive send",
    "no-head-in-ack": f"{GOES} snap write look send:late rollback write look send arrive send beat",
    "no-head-in-durable": f"{GOES} snap write look send backup rollback write look send send beat prune",
}
"""By the name that the model gives the missing rule."""
