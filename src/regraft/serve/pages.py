"""The pages for people: one to drop images on, and one that explains the API.

Nothing on them comes from elsewhere, so they work on a machine without a network; the usual pages
that FastAPI makes of an OpenAPI document load their scripts from a public server.
"""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from regraft.report.jinja import templates

_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/answers.js": ("answers.js", "text/javascript"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}


def add(app: FastAPI) -> frozenset[str]:
    """Add the pages to an application; gives the paths that need no token."""
    for path, (name, kind) in _FILES.items():
        _add_file(app, path, files("regraft.serve").joinpath(name).read_bytes(), kind)

    async def docs(request: Request) -> Response:
        return HTMLResponse(_explained(app.openapi(), f"{request.base_url}"))

    app.add_route("/docs", docs, include_in_schema=False)
    return frozenset(_FILES)


def _add_file(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    app.add_route(path, answer, include_in_schema=False)


def _explained(document: dict[str, Any], address: str) -> str:
    """Return an OpenAPI document as a page; ``address``: where the server was asked for it."""
    schemas = document["components"]["schemas"]
    return (
        templates("serve")
        .get_template("docs.html.jinja")
        .render(
            info=document["info"],
            address=address,
            operations=list(_operations(document)),
            schemas=[
                (name, _fields(schema), schema.get("description", ""))
                for name, schema in schemas.items()
            ],
        )
    )


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            answers = [
                (status, answer["description"], _answer(answer))
                for status, answer in sorted(told["responses"].items())
            ]
            yield {
                "method": method.upper(),
                "path": path,
                "summary": told["summary"],
                "text": told.get("description", ""),
                "parameters": told.get("parameters", []),
                "bodies": list(told.get("requestBody", {}).get("content", ())),
                "answers": answers,
            }


def _answer(answer: dict[str, Any]) -> str:
    """Return the name of the schema of an answer, or its media type."""
    for kind, content in answer.get("content", {}).items():
        return _type(content["schema"]) if content.get("schema") else str(kind)
    return ""


def _fields(schema: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, _type(field)) for name, field in schema.get("properties", {}).items()]


def _type(schema: dict[str, Any]) -> str:
    """Return a schema's type in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", "anything"))
