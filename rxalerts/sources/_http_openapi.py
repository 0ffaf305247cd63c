"""The OpenAPI description of the HTTP source, served at /openapi.json."""

from __future__ import annotations

from typing import Any

from rxalerts._version import __version__


def _answer(description: str, schema: str = "Answer", **headers: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }
    if headers:
        answer["headers"] = {
            name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return answer


_PRIORITIES = ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"]
# What Falco writes without json_output.
_LINE = rf"([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{{9}}: ({'|'.join(_PRIORITIES)}) [ -~]+"

_TEXT: dict[str, Any] = {"type": ["string", "null"]}

_ALERT: dict[str, Any] = {
    "type": "object",
    "description": "An alert as Falco writes it with json_output; unknown keys are kept.",
    "required": ["priority"],
    "anyOf": [
        {"required": [name], "properties": {name: {"type": "string"}}} for name in ("rule", "output", "message")
    ],
    "properties": {
        "time": {**_TEXT, "format": "date-time", "description": "RFC 3339, up to nine digits; now, if it is missing"},
        "rule": _TEXT,
        "priority": {"enum": [*_PRIORITIES, *range(8)]},
        "output": _TEXT,
        "message": _TEXT,
        "source": _TEXT,
        "hostname": _TEXT,
        "tags": {"type": ["array", "null"], "items": {"type": "string"}},
        "output_fields": {"type": ["object", "null"], "additionalProperties": True},
    },
    "additionalProperties": True,
}

_REJECT: dict[str, Any] = {
    "type": "object",
    "required": ["index", "line", "key", "reason"],
    "properties": {
        "index": {"type": "integer", "description": "which piece of the body, from 0"},
        "line": {"type": "integer", "description": "on which line it begins, from 1"},
        "key": {"type": "string", "description": "the JSON key at fault, if it is one"},
        "reason": {"type": "string"},
    },
}

_ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "accepted": {"type": "integer", "description": "how many alerts of the body are in"},
        "rejected": {"type": "integer", "description": "how many pieces of it are no alert"},
        "rejects": {"type": "array", "items": {"$ref": "#/components/schemas/Reject"}},
        "error": {"type": "string"},
    },
}

_ANSWERS: dict[str, Any] = {
    "200": _answer("Every alert of the body is accepted, or delivered, as the source was told to wait for."),
    "400": _answer("Some of the body is no alert; the rest of it is accepted."),
    "401": _answer("The token is missing or wrong.", WWW_Authenticate="Bearer"),
    "408": _answer("The body did not come in time."),
    "413": _answer("The body is too large."),
    "431": _answer("A line of the head is too long."),
    "415": _answer("This content type or encoding cannot hold alerts."),
    "503": _answer(
        "A sink is full, or the source is stopping. Send the same body again: what is in is not taken twice.",
        Retry_After="seconds",
    ),
}


def description(path: str, *, token: bool) -> dict[str, Any]:
    """Return the description of a source that takes alerts at `path`."""
    alert = {"$ref": "#/components/schemas/Alert"}
    body: dict[str, Any] = {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [alert, {"type": "array", "items": alert, "minItems": 1}]}},
            "application/x-ndjson": {"schema": {"type": "string", "description": "an alert on each line"}},
            "text/plain": {"schema": {"type": "string", "pattern": f"^{_LINE}(\\n{_LINE})*\\n?$"}},
        },
    }
    post: dict[str, Any] = {"summary": "Take alerts", "requestBody": body, "responses": _ANSWERS}
    schemas: dict[str, Any] = {"Alert": _ALERT, "Answer": _ANSWER, "Reject": _REJECT}
    components: dict[str, Any] = {"schemas": schemas}
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        post["security"] = [{"token": []}]
    return {
        "openapi": "3.1.0",
        "info": {"title": "rxalerts HTTP source", "version": __version__},
        "paths": {
            path: {"post": post},
            "/healthz": {"get": _plain("Tell whether the source is there", "application/json")},
            "/ping": {"get": _plain("Answer pong", "text/plain")},
        },
        "components": components,
    }


def _plain(summary: str, kind: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "It is.", "content": {kind: {}}}}}
