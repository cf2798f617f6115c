"""OpenAPI with this server's names and limits in it, and a page about it that loads nothing from elsewhere."""

from __future__ import annotations

import html
import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from server.rest.chat import model_names
from server.service import DECODINGS, STRATEGIES, Service

WORD = r"\w"  # a sentence has a letter or a digit


def schema(app: FastAPI, service: Service) -> dict[str, Any]:
    """The OpenAPI description: made once, with what only a running server knows."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        made["info"]["description"] = _about(service)
        shapes = made["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            shapes.pop(name, None)
        _limits(shapes, service)
        _statuses(made)
        made["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "QUERYWRIGHT_TOKEN, if the server has one."},
            "user": {"type": "http", "scheme": "basic", "description": "Name and password, if the server has users."},
        }
        made["security"] = [{}, {"token": []}, {"user": []}]
        app.openapi_schema = made
    return app.openapi_schema


def _limits(shapes: dict[str, Any], service: Service) -> None:
    limits = service.limits
    sentence = {"minLength": 1, "maxLength": limits.instruction_chars, "pattern": WORD}
    names = {"model": [*service.models], "strategy": [*STRATEGIES], "decoding": [*DECODINGS]}
    for shape in ("CallRequest", "CallsRequest", "PathRequest"):
        shapes[shape]["properties"]["api"]["enum"] = [*service.apis]
    for shape in ("CallRequest", "CallsRequest"):
        for name, known in names.items():
            shapes[shape]["properties"][name] |= {"anyOf": [{"type": "string", "enum": known}, {"type": "null"}]}
        _number(shapes[shape]["properties"]["n"], limits.alternatives)
    shapes["CallRequest"]["properties"]["instruction"] |= sentence
    shapes["Turn"]["properties"]["content"] |= sentence | {"description": "A call may be longer than a sentence."}
    shapes["CallsRequest"]["properties"]["instructions"] |= {
        "minItems": 1, "maxItems": limits.batch, "items": {"type": "string"}
    }  # fmt: skip
    shapes["PathRequest"]["properties"]["path"]["maxLength"] = limits.call_chars
    shapes["Correction"]["properties"]["path"] |= {"minLength": 1, "maxLength": limits.call_chars, "pattern": r"\S"}
    chat = shapes["ChatRequest"]["properties"]
    chat["model"]["enum"] = model_names(service)
    _number(chat["n"], limits.alternatives)
    users = {"contains": {"type": "object", "required": ["role"], "properties": {"role": {"const": "user"}}}}
    chat["messages"] |= users
    parts = {"type": "array", "items": {"$ref": "#/components/schemas/Part"}, "minItems": 1}
    shapes["UserMessage"]["properties"]["content"] = {"anyOf": [{"type": "string", **sentence}, parts]}


def _about(service: Service) -> str:
    limits = service.limits
    return (
        f"At most {limits.body_bytes:,} bytes are read of a request, {limits.instruction_chars:,} characters of a "
        f"sentence, {limits.call_chars:,} of a call, {limits.batch} sentences of a batch, {limits.turns} turns of a "
        f"conversation. An answer has at most {limits.tokens} tokens and takes at most {limits.answer_s:g} s; "
        f"{limits.waiting} sentences may wait for a model, {limits.per_client} of one client: the next one is answered "
        "429 with Retry-After. "
        f"{limits.kept_per_hour:,} answers and corrections of one client are kept within an hour; more answers are "
        "given, and not kept. Errors have a code for programs, a message and a hint."
    )


def _number(shape: dict[str, Any], most: int) -> None:
    shape["anyOf"] = [{"type": "integer", "minimum": 1, "maximum": most}, {"type": "null"}]


def _statuses(made: dict[str, Any]) -> None:
    """FastAPI adds a 422 of its own form where none is declared; a chat answers 400 instead."""
    for path, methods in made["paths"].items():
        for operation in methods.values():
            answer = operation["responses"].get("422")
            theirs = answer and "HTTPValidationError" in json.dumps(answer)
            if theirs or (answer and path.startswith("/v1/chat/")):
                del operation["responses"]["422"]


STYLE = """<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
pre,textarea{background:#8881;padding:1rem;border-radius:8px;overflow:auto}:root{color-scheme:light dark}
textarea{width:100%;box-sizing:border-box;font:14px/1.4 ui-monospace,monospace;border:1px solid #8886}
pre{white-space:pre-wrap;overflow-wrap:anywhere}#out{max-height:28rem}
button,select{font:inherit;padding:.3rem .8rem}h2{font-size:1.1rem;margin:2rem 0 0}</style>"""


def listed(openapi: dict[str, Any]) -> str:
    """All routes with what they take and answer, and the shapes of JSON, as HTML."""
    parts = []
    for path, methods in openapi["paths"].items():
        for method, spec in methods.items():
            answers = "".join(
                f"<li><b>{status}</b> {html.escape(answer['description'])}</li>"
                for status, answer in sorted(spec["responses"].items())
            )
            about = html.escape(spec.get("description", ""))
            parts.append(f"<h2>{method.upper()} {html.escape(path)}</h2><p>{about}</p>{_taken(spec)}"
                         f"<details><summary>Answers</summary><ul>{answers}</ul></details>")  # fmt: skip
    shapes = "".join(
        f'<h3 id="{name}">{name}</h3><p>{html.escape(shape.get("description", ""))}</p>{_fields(shape)}'
        for name, shape in sorted(openapi.get("components", {}).get("schemas", {}).items())
    )
    return f'{"".join(parts)}<h2>Shapes</h2><p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>{shapes}'


def _taken(spec: dict[str, Any]) -> str:
    """A route's parameters, each once with the places where it may stand, and its body."""
    places: dict[str, list[str]] = {}
    for one in spec.get("parameters", ()):
        places.setdefault(one["name"], []).append(one["in"])
    lines = {
        one["name"]: f"<li><code>{html.escape(one['name'])}</code> ({' or '.join(places[one['name']])}): "
        f"{_type(one['schema'])}. {html.escape(one.get('description') or one['schema'].get('description', ''))}</li>"
        for one in spec.get("parameters", ())
    }
    body = spec.get("requestBody", {}).get("content", {})
    if body:
        kinds = {html.escape(kind): _type(one.get("schema", {})) for kind, one in body.items()}
        told = "; ".join(f"<code>{kind}</code> {schema}" for kind, schema in kinds.items())
        lines[""] = f"<li>Body: {told}</li>"
    return f"<ul>{''.join(lines.values())}</ul>" if lines else ""


def _fields(shape: dict[str, Any]) -> str:
    """The names of a shape."""
    needed = shape.get("required", ())
    lines = [
        f"<li><code>{html.escape(name)}</code>{'' if name in needed else ' (may be left out)'}: {_type(one)}. "
        f"{html.escape(one.get('description', ''))}</li>"
        for name, one in shape.get("properties", {}).items()
    ]
    return f"<ul>{''.join(lines)}</ul>" if lines else f"<p>{_type(shape)}</p>"


def _type(schema: dict[str, Any]) -> str:
    """What a value is, in a word or two."""
    if ref := schema.get("$ref", ""):
        name = html.escape(ref.rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if some := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(map(_type, some)))
    if "enum" in schema or "const" in schema:
        return html.escape(", ".join(map(str, schema.get("enum") or [schema["const"]])))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return html.escape(str(schema.get("type", "anything")))


def page(openapi: dict[str, Any], api: str) -> str:
    """The page at /docs. Swagger's own page would load its code from another host."""
    body = json.dumps({"api": api, "instruction": "the UniProt id of the human gene CDK2"})
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Querywright: REST</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
{STYLE}
<h1>Querywright over REST</h1>
<pre>curl -s "$URL/v1/call" -H 'content-type: application/json' \\
  -d '{html.escape(body)}'</pre>
<p>{html.escape(openapi["info"].get("description", ""))}</p>
<h2>Try it</h2>
<form id="try"><label>POST <select id="path">{_posts(openapi, api)}</select></label>
<label><textarea id="body" rows="6" aria-label="Request">{html.escape(body)}</textarea></label>
<button>Send</button></form><pre id="out" aria-live="polite">Nothing sent yet.</pre>
<h2>OpenAI's clients</h2>
<pre>OpenAI(base_url="$URL/v1", api_key="TOKEN or anything").chat.completions.create(
    model="{html.escape(api)}", messages=[{{"role": "user", "content": "the UniProt id of the human gene CDK2"}}])</pre>
<h2>MCP</h2><p>Streamable HTTP at <code>/mcp</code>; over stdio: <code>querywright mcp</code>.</p>
{listed(openapi)}
<script>
const box = id => document.getElementById(id);
box("path").onchange = () => {{ box("body").value = box("path").selectedOptions[0].dataset.body; }};
box("try").onsubmit = async event => {{
  event.preventDefault();
  box("out").textContent = "...";
  try {{
    const answer = await fetch(box("path").value, {{method: "POST", body: box("body").value,
      headers: {{"content-type": "application/json"}}}});
    const text = await answer.text();
    let shown = text;
    try {{ shown = JSON.stringify(JSON.parse(text), null, 2); }} catch {{}}
    box("out").textContent = answer.status + "\\n" + shown;
  }} catch (error) {{ box("out").textContent = String(error); }}
}};
</script></html>"""


def _posts(openapi: dict[str, Any], api: str) -> str:
    sentence = "the UniProt id of the human gene CDK2"
    call = {"api": api, "path": "/v3/query?q=symbol:CDK2&species=human"}
    bodies: dict[str, Any] = {
        "/v1/call": {"api": api, "instruction": sentence},
        "/v1/calls": {"api": api, "instructions": [sentence, "mouse genes in the cell cycle"]},
        "/v1/check": call, "/v1/run": call, "/v1/feedback": {"answer": 1, "rating": 1},
        "/v1/chat/completions": {"model": api, "messages": [{"role": "user", "content": sentence}]},
    }  # fmt: skip
    return "".join(
        f'<option data-body="{html.escape(json.dumps(body))}">{path}</option>'
        for path, body in bodies.items() if path in openapi["paths"]
    )  # fmt: skip
