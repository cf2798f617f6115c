"""An application asked by schemathesis as its OpenAPI describes it, and what was wrong with its answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

CHECKS = frozenset({
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "negative_data_rejection", "positive_data_acceptance", "unsupported_method",
})  # fmt: skip
_HOST = {"host": "127.0.0.1"}


def asked(app: Any, examples: int, **config: Any) -> list[Any]:
    """What happened in one run, as if from this machine: metrics are for it alone."""
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import from_schema

    async def here(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": ("127.0.0.1", 5000)}, receive, send)

    settings = SchemathesisConfig.from_dict({
        "seed": 7, "headers": _HOST, "phases": {"stateful": {"enabled": False}},  # no answer links to another request
        "generation": {"deterministic": True, "max-examples": examples, "database": "none"}, **config,
    })  # fmt: skip
    schema = schemathesis.openapi.from_asgi("/openapi.json", here, config=settings, headers=_HOST)
    return list(from_schema(schema).execute())


def checks(run: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each checked request: its route, the check, and the answer."""
    for event in run:
        recorder = getattr(event, "recorder", None)
        for case, made in (recorder.checks if recorder else {}).items():
            for check in made:
                yield recorder.label, check, recorder.interactions[case].response


def all_right(run: list[Any]) -> None:
    """Fail with each kind of wrong answer, once a route."""
    wrong: dict[str, str] = {}
    for label, check, response in checks(run):
        found = check.failure_info
        if found is not None:
            said = f"{found.failure.title}: {found.failure.message}\n{found.code_sample}"
            wrong.setdefault(f"{label}: {check.name}", f"{said}\n{response and response.content[:400]}"[:2000])
    errors = [repr(event) for event in run if type(event).__name__ in ("NonFatalError", "FatalError")]
    assert not wrong, "\n\n".join(f"{what}\n{text}" for what, text in wrong.items())
    assert not errors, errors
