"""Short ways to the damage that the model finds where a rule is missing, for the real programs to go."""

GOES = "write look send send"
"""Something is written, a hello, an append."""

OVERTAKEN = f"{GOES} snap write look send:late rollback look send arrive send"
"""Two histories of the same length, and an answer that speaks of the other one."""

SHORTEST = {
    "no-cursor-check": f"{GOES} backup write look send beat vanish vanish look send restore",
    "prune-on-ack": f"{GOES} backup write look send beat prune restore",
    "no-fencing-no-chain": f"{GOES} snap write look send rollback look send send beat",
    "no-chain": f"{GOES} snap write look send rollback write look send send send beat",
    "no-diff": f"{GOES} snap write look send rollback look send send",
    "cursor-outside-transaction": f"{GOES} write look send:server-dies:committed",
    "ack-before-commit": f"{GOES} write snap look send:server-dies:uncommitted rollback",
    "no-fencing": f"{GOES} write look send snap write look send rollback write look send send beat",
    "no-head-in-ack-nor-durable": OVERTAKEN,
    "no-store-id": (
        f"{GOES} snap backup write look send rollback beat rollback look snap send send:copy"
        " restore rollback send send rollback-older look send arrive"
    ),
    "no-head-in-ack": OVERTAKEN,
    "no-head-in-durable": (
        f"{GOES} backup snap write look send snap restore rollback-older look send send backup rollback beat prune"
    ),
}
"""By the name that the model gives the missing rule. The model keeps one copy of the disk and looks at where all comes
to; with two copies, and a look after every step, each of the last two is caught alone as well."""
