"""The resources of RFC 7643 as this service has them: from JSON to values and back, with what Entra and Okta take freedom in.

``roles`` and ``entitlements`` are kept as they come and give nothing: what somebody may do, the tenant says here.
"""

from typing import Annotated, Any, Final, TypeVar

import scim2_models
from pydantic import Field, ValidationError
from scim2_models import AnyExtension, Context, Mutability, Reference, Required, SCIMException, ScimPolicy
from scim2_models.attributes import ComplexAttribute
from scim2_models.resources import user as resources

from controlplane.domain.directory.refusals import DirectoryInvalid, invalid

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

TOLERANT: Final = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
"""Attributes that we do not know are left out; a value says what to remove, a filter what to add, as Entra has it."""

OURS: Final = frozenset({"id", "meta", "schemas", "groups", "active", "externalId", "password"})
"""What is not kept as it came: it has a place of its own, is ours to say, or is nobody's business."""

LONGEST_TEXT: Final = 256
"""Characters of a name or an address."""

Text = Annotated[str | None, Field(max_length=LONGEST_TEXT)]


class Email(resources.Email):
    value: Text = None
    """An address. Directories of companies have addresses of domains that the public has not."""


class Manager(ComplexAttribute):
    value: str | None = None
    """The id of the manager's own resource."""

    ref: Annotated[Reference["User"] | None, Required.false] = Field(  # type: ignore[type-arg]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """Where it is."""

    display_name: Annotated[str | None, Mutability.read_only] = None
    """What the manager is called."""


class EnterpriseUser(scim2_models.EnterpriseUser):
    """Where somebody works."""

    manager: Manager | None = None  # type: ignore[assignment]
    """Whom they report to."""


class User(scim2_models.User[AnyExtension]):
    """Somebody of the tenant."""

    user_name: Annotated[
        str | None, scim2_models.Uniqueness.server, Required.true, Field(min_length=1, max_length=LONGEST_TEXT)
    ] = None
    """What they are called in the directory; unique in the tenant, in any case."""

    display_name: Text = None
    """What they are called."""

    emails: list[Email] | None = None  # type: ignore[assignment]
    """Their addresses; the primary one, or else the first, is theirs here."""


class GroupMember(ComplexAttribute):
    """Who is in a group. What they are called is said by their own resource alone."""

    value: Annotated[str | None, Mutability.immutable, scim2_models.CaseExact.true] = None
    """The id of the member's own resource."""

    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(  # type: ignore[type-arg]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """Where it is."""

    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])
    """Always User: a group is no member of a group."""


class Group(scim2_models.Group):
    """People who hold the same roles, which the tenant gives to the group here."""

    display_name: Annotated[str | None, Required.true, Field(min_length=1, max_length=LONGEST_TEXT)] = None
    """What it is called; unique in the tenant."""

    members: list[GroupMember] | None = None  # type: ignore[assignment]
    """Who is in it."""


WholeUser = User[EnterpriseUser]
"""With the extension."""

Resource = TypeVar("Resource", bound=scim2_models.Resource[Any])


def read(model: type[Resource], body: object, context: Context) -> Resource:
    """The resource that a directory has sent.

    Raises:
        DirectoryInvalid: If it is none.
    """
    if not isinstance(body, dict):
        raise DirectoryInvalid("a JSON object is expected", "invalidSyntax")
    try:
        return model.model_validate(_eased(body), scim_ctx=context, scim_policy=TOLERANT)
    except ValidationError as error:
        raise invalid(error) from None
    except SCIMException as error:
        raise invalid(error) from None


def kept(resource: scim2_models.Resource[Any]) -> dict[str, Any]:
    """What is kept of it as it came."""
    whole: dict[str, Any] = resource.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    return {name: value for name, value in whole.items() if name not in OURS}


def _eased(body: dict[Any, Any]) -> dict[Any, Any]:
    """*body* with the manager as RFC 7643 has it: Entra sends the bare id, or a list of one."""
    eased = dict(body)
    for name, value in body.items():
        if isinstance(name, str) and name.casefold() == ENTERPRISE.casefold() and isinstance(value, dict):
            eased[name] = {
                key: manager(each) if str(key).casefold() == "manager" else each for key, each in value.items()
            }
    return eased


def manager(value: object) -> object:
    """The value of a manager, whatever form it came in; nothing where it says that there is none."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str):
        value = {"value": value}
    return value if isinstance(value, dict) and value.get("value") else None
