"""The document says everything of every operation, and what it says is so."""

from collections import Counter

import msgspec
import pytest
from jsonschema_rs import Draft202012Validator
from msgspec import Struct

from controlplane.domain import events
from controlplane.domain.idempotency import InProgress, KeyReused
from controlplane.domain.join_tokens import JoinTokenUnknown
from controlplane.http import manners, negotiation, proof, routes
from controlplane.http.authorize import Surface
from controlplane.http.document import refusals
from controlplane.kit.guard import Guard
from controlplane.kit.problems import NotFound

OURS = frozenset({Surface.TENANT, Surface.OPERATOR, Surface.ME})

UNREPEATABLE: dict[str, str] = {}
"""Creations that heed no Idempotency-Key, each with its reason. This list only shrinks."""

UNCONDITIONAL = {
    "DELETE /v1/operator/tenants/{target}": "works inside the tenant; taken back within the days of grace",
    "PUT /v1/operator/tenants/{target}/limits": "works inside the tenant; says every limit anew",
}
"""Changes of an object that heed no If-Match, each with its reason. This list only shrinks."""


@pytest.fixture
async def document(client):
    return (await client.get("/openapi.json")).json()


@pytest.fixture
def operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


@pytest.fixture
def handlers(app):
    return [
        (f"{method} {path}", handler, handler.opt[manners.OPT])
        for path, method, handler in routes.handlers(app)
        if handler.opt["rule"].surface in OURS
    ]


def shape(operation, document, kind):
    schema = operation["requestBody"]["content"][kind]["schema"]
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]


def example(operation, document, kind):
    return shape(operation, document, kind)["examples"][0]


def test_every_operation_has_a_name_of_its_own_and_is_explained(operations):
    names = Counter(each["operationId"] for each in operations.values())

    assert [name for name, uses in names.items() if uses > 1] == []
    assert [name for name, each in operations.items() if not (each["summary"] and each["description"])] == []
    assert [name for name, each in operations.items() if not each.get("tags")] == []


def test_every_operation_names_each_refusal_and_nothing_by_default(operations, document):
    for name, operation in operations.items():
        assert "default" not in operation["responses"], name
        assert {"400", "414", "431", "500", "503"} <= operation["responses"].keys(), name
        for status, answer in operation["responses"].items():
            if status >= "400":
                shared = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
                examples = shared["content"]["application/problem+json"]["examples"]
                values = [document["components"]["examples"][code]["value"] for code in examples]
                assert {value["status"] for value in values} == {int(status)}, name


def test_every_example_of_a_body_is_one_that_is_taken(app, operations, document):
    for name, handler, its in ((f"{m} {p}", h, h.opt[manners.OPT]) for p, m, h in routes.handlers(app)):
        if its.takes is not None and name in operations:
            kind = handler.parsed_fn_signature.parameters["data"].annotation
            msgspec.convert(example(operations[name], document, its.takes), kind)


def test_every_example_is_one_that_its_schema_allows(document):
    components = {"components": document["components"]}
    examples = {
        name: each["examples"] for name, each in document["components"]["schemas"].items() if "examples" in each
    }

    assert len(examples) > 100
    for name, found in examples.items():
        validator = Draft202012Validator({"$ref": f"#/components/schemas/{name}", **components})
        assert [error.message for each in found for error in validator.iter_errors(each)] == [], name


def test_every_body_is_refused_with_something_unknown_in_it_and_the_document_says_so(handlers, operations, document):
    kinds = {
        name: handler.parsed_fn_signature.parameters["data"].annotation
        for name, handler, its in handlers
        if its.takes == negotiation.JSON  # whoever gets a form may be told to ignore what it does not know
    }

    assert kinds
    assert [
        name
        for name, kind in kinds.items()
        if not (issubclass(kind, Struct) and kind.__struct_config__.forbid_unknown_fields)
    ] == []
    assert [
        name
        for name in kinds
        if shape(operations[name], document, negotiation.JSON).get("additionalProperties") is not False
    ] == []


def test_every_creation_can_be_repeated(handlers):
    surfaces = {Surface.TENANT, Surface.OPERATOR}
    creations = {
        name: its
        for name, handler, its in handlers
        if handler.opt["rule"].surface in surfaces and getattr(handler, "status_code", 0) == 201
    }

    assert creations
    assert {name for name, its in creations.items() if not its.takes_key} == UNREPEATABLE.keys()


def test_every_change_of_an_object_heeds_the_state_it_is_of(handlers):
    shown = {name.removeprefix("GET ") for name, _, its in handlers if its.shows_object}
    changes = {
        name: its
        for name, _, its in handlers
        if name.partition(" ")[0] in routes.CHANGES and name.partition(" ")[2] in shown
    }

    assert changes
    assert {name for name, its in changes.items() if its.state is None} == UNCONDITIONAL.keys()


def test_what_is_shown_once_is_not_promised_a_second_time(document):
    created = document["components"]["schemas"]["CreatedApiKey"]

    assert "key" not in created["required"]
    assert "id" in created["required"]
    assert "repeated" in created["properties"]["notice"]["description"]


def test_every_text_of_a_parameter_is_bounded(operations):
    bounds = {"maxLength", "pattern", "enum", "format"}
    unbounded = {
        (name, each["name"])
        for name, operation in operations.items()
        for each in operation.get("parameters", ())
        if each["schema"].get("type") == "string" and not bounds & each["schema"].keys()
    }

    assert {parameter for _, parameter in unbounded} == {"If-Match", "If-None-Match"}  # RFC 9110 bounds neither


def test_the_example_of_a_webhook_could_be_one(document):
    webhook = document["components"]["schemas"]["NewWebhook"]["examples"][0]

    Guard().check(webhook["url"])
    assert events.check_types(webhook["types"]) == webhook["types"]


def test_an_id_in_an_example_is_of_its_kind(document):
    schemas = document["components"]["schemas"]
    shown = {name: each["examples"][0].get("id") for name, each in schemas.items() if "examples" in each}

    assert shown["WebhookView"].startswith("whk_")
    assert [name for name, found in shown.items() if found and found.startswith("session_")] == []


def test_an_answer_without_content_promises_none(operations):
    silent = {
        name: each["responses"][status]
        for name, each in operations.items()
        for status in ("204", "303", "304")
        if status in each["responses"]
    }

    assert silent
    assert [name for name, answer in silent.items() if "content" in answer] == []


def test_headers_that_are_heeded_are_parameters(operations):
    def names(operation):
        return {each["name"] for each in operations[operation].get("parameters", ()) if each["in"] == "header"}

    assert names("POST /v1/tenants/{tenant}/api-keys") == {"Idempotency-Key"}
    assert names("DELETE /v1/tenants/{tenant}/api-keys/{key}") == {"If-Match"}
    assert names("GET /v1/tenants/{tenant}/api-keys/{key}") == {"If-None-Match"}
    assert names("GET /v1/tenants/{tenant}/api-keys") == set()


class Engine:
    def start(self) -> None:
        raise KeyReused


def _named() -> None:
    raise NotFound


def _by_method(engine: Engine) -> None:
    engine.start()


def _inside() -> object:
    return [lambda: InProgress for _ in "x"]


def _elsewhere() -> None:
    proof.refused = JoinTokenUnknown  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("function", "found"),
    [(_named, NotFound), (_by_method, KeyReused), (_inside, InProgress), (_elsewhere, JoinTokenUnknown)],
)
def test_a_refusal_is_found_however_it_is_named(monkeypatch, function, found):
    monkeypatch.setattr(refusals, "OURS", ("controlplane.", "tests."))

    assert refusals.raised_by(function) == {found}
