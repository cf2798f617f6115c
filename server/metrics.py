"""What Prometheus is told at /metrics: requests, answers, time, tokens, the gates, the engines, memory.

A registry of our own, so that two servers in one process (tests) do not add up. Labels are names that this server
knows; what a client sends never becomes one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from querywright.errors import need
from server.problems import problem
from server.service import Service

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 30.0)
STATES = ("closed", "open", "half_open")
REST = "/v1/{rest:path}"  # what answers where no route does
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Requests:
    """The counters that every server has: requests, and its process."""

    def __init__(self) -> None:
        need("prometheus_client", extra="serve")
        from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "querywright_http_requests", "Requests by route and status.", ["route", "method", "status"],
            registry=registry,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "querywright_http_request_seconds", "Seconds until a request was answered whole, by route.", ["route"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """All of it in Prometheus' text form."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


class Metrics(Requests):
    """The counters of the assistant."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        from prometheus_client import Counter, Histogram

        registry = self.registry
        self.answers = Counter(
            "querywright_answers", "Sentences by what became of them: call, guess, refused, no_call, or an error.",
            ["api", "model", "source", "outcome"], registry=registry,
        )  # fmt: skip
        self.answer_seconds = Histogram(
            "querywright_answer_seconds", "Seconds from a sentence to its answer, waiting included.", ["model"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.wait_seconds = Histogram(
            "querywright_wait_seconds", "Seconds that a sentence waited for the model.", ["model"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.tokens = Counter(
            "querywright_tokens", "Tokens of prompts (in) and answers (out).", ["model", "kind"], registry=registry
        )
        self.unstored = Counter("querywright_unstored", "Answers that the store could not keep.", registry=registry)
        registry.register(_Now(service))  # type: ignore[arg-type]

    def answered(self, reply: Any, source: str, seconds: float) -> None:
        """Count an answer (`server.assistant.Reply`)."""
        verdict, choice = reply.verdict, reply.choice
        outcome = "refused" if verdict.refused else "no_call" if not verdict.ok else "call"
        if outcome == "call" and reply.abstained:
            outcome = "guess"
        self.answers.labels(choice.api, choice.model, source, outcome).inc()
        self.answer_seconds.labels(choice.model).observe(seconds)
        self.wait_seconds.labels(choice.model).observe(reply.waited_ms / 1000)
        self.tokens.labels(choice.model, "in").inc(reply.tokens_in)
        self.tokens.labels(choice.model, "out").inc(reply.tokens)

    def failed(self, choice: Any, source: str, code: str) -> None:
        """Count a sentence that got no answer; `code` is `problems.told`'s."""
        self.answers.labels(choice.api, choice.model, source, code).inc()


class _Now:
    """What is looked up when it is asked for."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def describe(self) -> Iterable[Any]:
        return ()

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        inside = GaugeMetricFamily("querywright_gate_inside", "Sentences that a model works on.", labels=["model"])
        waiting = GaugeMetricFamily("querywright_gate_waiting", "Sentences that wait for a model.", labels=["model"])
        places = GaugeMetricFamily("querywright_gate_capacity", "Sentences a model works on at once.", labels=["model"])
        short = GaugeMetricFamily("querywright_gate_short", "1 where the queue is kept short.", labels=["model"])
        typical = GaugeMetricFamily("querywright_gate_typical_seconds", "Typical seconds at a model.", labels=["model"])
        circuit = GaugeMetricFamily("querywright_circuit", "1 at a model's circuit state.", labels=["model", "state"])
        crashes = CounterMetricFamily("querywright_engine_crashes", "Crashes of a model's process.", labels=["model"])
        starts = CounterMetricFamily("querywright_engine_restarts", "Restarts of a model's process.", labels=["model"])
        memory = GaugeMetricFamily(
            "querywright_engine_resident_bytes", "Memory of a model's own process.", labels=["model"]
        )
        for name, model in self.service.models.items():
            state = model.gate.state
            inside.add_metric([name], state["inside"])
            waiting.add_metric([name], state["waiting"])
            places.add_metric([name], model.gate.capacity)
            short.add_metric([name], state["short"])
            typical.add_metric([name], state["typical_s"])
            for one in STATES:
                circuit.add_metric([name, one], float(circuit_of(model.engine) == one))
            crashes.add_metric([name], _number(model.engine, "crashes"))
            starts.add_metric([name], _number(model.engine, "restarts"))
            held = _resident(getattr(model.engine, "pid", None))
            if held is not None:
                memory.add_metric([name], held)
        yield from (inside, waiting, places, short, typical, circuit, crashes, starts, memory)


def circuit_of(engine: object) -> str:
    """The state of an engine's circuit; an engine without one is always tried."""
    state = getattr(engine, "state", "closed")
    return state if state in STATES else "closed"


def _number(engine: object, name: str) -> float:
    value = getattr(engine, name, 0)
    return float(value) if isinstance(value, int | float) else 0.0


def _resident(pid: object) -> float | None:
    """Resident bytes of a process; None where this system does not say."""
    if not isinstance(pid, int):
        return None
    import resource

    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * float(resource.getpagesize())
    except (OSError, ValueError, IndexError):
        return None


class Counted:
    """ASGI middleware that counts requests. The outermost: what others refuse is counted as well."""

    def __init__(self, app: Any, *, metrics: Requests) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, begun, start = 500, False, time.perf_counter()

        async def seen(message: Any) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
            await send(message)

        try:
            await self.app(scope, receive, seen)
        except asyncio.CancelledError:  # the server ends before its answer: a second Ctrl-C, or one that took too long
            if not begun:
                hint, headers = "ask again in a moment", {"Retry-After": "5", "Connection": "close"}
                await problem(503, "stopping", "the server is being stopped", hint, **headers)(scope, receive, seen)
        finally:
            route = _route(scope)
            self.metrics.requests.labels(route, _method(scope["method"]), str(status)).inc()
            self.metrics.request_seconds.labels(route).observe(time.perf_counter() - start)


def _route(scope: Any) -> str:
    """The route's template: addresses that clients make up would be a label each."""
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str) or path == REST:
        return "other"
    return path or "page"


def _method(method: str) -> str:
    return method if method in ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
