"""/v1/operator/operators: who runs the service."""

from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Struct

from controlplane.db.database import PlatformTx
from controlplane.domain import people
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.kit.ids import text_id


class OperatorView(Struct, frozen=True, kw_only=True):
    id: str
    """Of the account."""
    email: str
    name: str
    role: str
    status: str
    created_at: Moment


class OperatorsController(Controller):
    path = "/operators"
    tags = ("operator",)

    @get("/", opt=rule(Surface.OPERATOR, "operator:operator-read"))
    async def listing(self, tx: NamedDependency[PlatformTx], paging: NamedDependency[Paging]) -> Page[OperatorView]:
        """Operators, the newest account first."""
        rows = await people.operators(tx, after=paging.after_id, limit=paging.fetch)
        accounts = await people.accounts(tx, [operator.account_id for operator in rows])
        return paging.page(
            rows,
            lambda operator: operator.account_id,
            lambda operator: _view(operator, accounts[operator.account_id]),
        )


def _view(operator: people.Operator, account: people.Account) -> OperatorView:
    return OperatorView(
        id=text_id("acc", account.id),
        email=account.email,
        name=account.name,
        role=operator.role,
        status=account.status,
        created_at=moment(operator.created_at),
    )
