"""The page about providers: what is known of each, how far it can be relied on, and what to watch for."""

from controlplane.domain.vault import catalogue
from controlplane.domain.vault.provider import Provider, Variable
from controlplane.kit.oauth.dialect import Refreshing

TITLES = {
    "office": "Office",
    "developer": "For developers",
    "work": "Work",
    "customers": "Customers",
    "commerce": "Commerce",
    "social": "Social",
    "identity": "Identity",
    "data": "Data",
    "models": "Models",
    "generic": "Anything else",
}


def providers_page() -> str:
    """Every provider of the catalogue, by category."""
    found = catalogue.read().listing()
    proven = sum(each.verified.behavior == "doc" for each in found)
    lines = [
        "# Providers",
        "",
        "For whoever connects accounts, and for whoever decides what to rely on.",
        "Made by `python -m scripts.references` from the files in `controlplane/domain/vault/providers`.",
        "",
        f"There are {len(found)}; how {proven} of them behave was read in their own documentation.",
        "*doc*: read there; *cross*: two sources agree; *recall*: general knowledge, to be tried before it is relied on.",
        "",
        "*After a lost answer* says what sending a used refresh token again does; what is unknown is taken as strict.",
    ]
    for category, title in TITLES.items():
        rows = [each for each in found if each.category == category]
        lines += ["", f"## {title}", "", *_table(rows), *_notes(rows)]
    return "\n".join([*lines, ""])


def _table(rows: list[Provider]) -> list[str]:
    head = "| id | name | addresses | behavior | access lives | next token | after a lost answer | PKCE | revocation |"
    return [head, "|" + "---|" * 9, *(_row(each) for each in rows)]


def _row(provider: Provider) -> str:
    verified, dialect = provider.verified, provider.dialect
    life_s, static = dialect.answers.lifetime_s, provider.kind == "static"
    cells = [
        f"`{provider.id}`",
        provider.name,
        verified.endpoints,
        verified.behavior,
        "" if static else f"{life_s} s" if life_s else "not said",
        "" if static else _next(dialect.refreshing),
        "" if static else _replay(dialect.refreshing),
        "" if static else dialect.asking.pkce,
        "" if static else dialect.revoking.ends if dialect.revoking else "by the person",
    ]
    return f"| {' | '.join(cells)} |"


def _next(refreshing: Refreshing) -> str:
    if refreshing.by == "nothing":
        return "none: connect again"
    how = {"refresh_token": "refresh", "access_token": "exchange while alive", "minting": "minted"}[refreshing.by]
    limits = [f"idle {refreshing.idle_days} d"] if refreshing.idle_days else []
    limits += [f"at most {refreshing.longest_days} d"] if refreshing.longest_days else []
    return ", ".join([how, *limits])


def _replay(refreshing: Refreshing) -> str:
    if refreshing.by in ("nothing", "minting"):
        return ""
    grace = f" {refreshing.grace_s} s" if refreshing.grace_s else ""
    kills = "; ends older access" if refreshing.kills_access_after_s is not None else ""
    return f"{refreshing.replay}{grace}{kills}"


def _notes(rows: list[Provider]) -> list[str]:
    lines = []
    for each in rows:
        said = [*_variables(each), *each.notes]
        said += [f"For less: {each.narrows[0].lower()}{each.narrows[1:]}"] if each.narrows else []
        said += [f"Verified: {each.verified.note}"] if each.verified.note else []
        if said:
            lines += ["", f"### {each.name}", "", *(f"- {line}" for line in said)]
    return lines


def _variables(provider: Provider) -> list[str]:
    return [f"`{name}`: {_one(each)}" for name, each in provider.variables.items()]


def _one(variable: Variable) -> str:
    can = ", ".join(f"`{each}`" for each in variable.choices if each) or f"a {variable.shape}"
    own = "; another than the default takes an app of the tenant's own" if variable.open else ""
    return f"{variable.title} ({can}){own}."
