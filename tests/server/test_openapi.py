"""openapi.yaml and the routes say the same, and nothing that fits it, or nearly does, brings the server down."""

from __future__ import annotations

import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from nodegraph.server.api.common import document
from tests.server.support import Server

METHODS = ("get", "post", "put", "delete")
#: What never ends.
STREAMS = ("/api/v1/events",)


def test_each_route_is_described_and_each_description_has_a_route(server: Server):
    routes = {
        (resource.canonical, route.method.lower())
        for resource in server.app.router.resources()
        for route in resource
        if route.method != "HEAD"
        and (resource.canonical.startswith("/api/v1") or resource.canonical in ("/healthz", "/metrics"))
    }
    described = {(path, method) for path, item in document()["paths"].items() for method in METHODS if method in item}
    assert routes == described


def test_the_file_is_an_openapi_document_whose_references_lead_somewhere():
    import jsonschema

    api = document()
    assert api["openapi"].startswith("3.1")
    for schema in api["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    operations = [item[method] for item in api["paths"].values() for method in METHODS if method in item]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for reference in references(api):
        found: Any = api
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [reference for member in value.values() for reference in references(member)]
    return [reference for item in value for reference in references(item)] if isinstance(value, list) else []


def test_it_is_served_as_a_file_and_as_a_page_that_loads_nothing_from_elsewhere(server: Server):
    assert server.get("/api/v1/openapi.yaml").body.startswith(b"openapi: 3.1")
    page = server.get("/api/v1/docs").body.decode()
    for path in document()["paths"]:
        assert path in page
    assert re.findall(r'(?:src|href)="(?!/api/v1/)', page) == []
    assert "<script" not in page
    assert server.get("/api/v1/docs.css").headers["Content-Type"].startswith("text/css")


TOO_SLOW = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much)
api = schemathesis.openapi.from_dict(dict(document())).exclude(path=list(STREAMS))


@pytest.mark.filterwarnings("default")
@api.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=TOO_SLOW, database=None)
def test_whatever_is_sent_the_server_does_not_fail(case: schemathesis.Case, server: Server):
    answer = case.call(base_url=f"http://127.0.0.1:{server.port}", timeout=30)
    case.validate_response(answer, checks=[not_a_server_error])
