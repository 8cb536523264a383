"""What only owners decide, at routes that others use as well."""

from typing import Final

from controlplane.domain.permissions import Authorizer, Person, ReauthenticationRequired
from controlplane.http.authorize import PermissionDenied
from controlplane.http.principals import AnyRequest

OWNING: Final = "tenant:own"


def check_owner(request: AnyRequest) -> None:
    """Whether whoever asks owns the tenant, and if a person, has proved lately who they are.

    Raises:
        PermissionDenied, ReauthenticationRequired: If they may not decide it, or not like this.
    """
    authorizer: Authorizer = request.app.state.authorizer
    principal = request.user
    if not authorizer.decide(principal, OWNING).allow:
        raise PermissionDenied(OWNING)
    if isinstance(principal, Person) and not principal.is_fresh(request.app.state.db.clock()):
        raise ReauthenticationRequired(principal.ways)
