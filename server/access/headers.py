"""What every answer says to browsers: load nothing from elsewhere, run no script that is not this page's own.

Gradio's page holds a few scripts in its HTML. They are allowed by their hashes, so that none that somebody writes into
a question, a record or a model's answer would run, even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import re

from starlette.types import Message, Scope, Send

FIXED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_PARTS = ("/assets/", "/static/", "/svelte/", "/theme.css", "/favicon.ico")  # the same for all, and large
_HTML_BYTES = 4 * 2**20


def csp(html: bytes = b"") -> str:
    """The content security policy of a page, or of any other answer (which runs nothing).

    `unsafe-eval` stays: Gradio makes functions of the few scripts that a page gives to its events. Styles stay inline:
    Gradio writes them into its elements.
    """
    hashes = dict.fromkeys(
        base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _SCRIPT.findall(html)
    )
    inline = "".join(f" 'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src 'self' 'unsafe-eval'{inline}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        "manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )


class Marked:
    """A `send` that adds the headers. An HTML page is held until it is whole, to know its scripts."""

    def __init__(self, send: Send, path: str) -> None:
        self.send, self.path = send, path
        self.start: Message | None = None
        self.body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            given = {name.lower(): value for name, value in message["headers"]}
            if not given.get(b"content-type", b"").startswith(b"text/html") or b"content-encoding" in given:
                await self._begin(csp())
        elif message["type"] == "http.response.body" and self.start is not None:
            self.body += message.get("body", b"")
            if message.get("more_body", False) and len(self.body) <= _HTML_BYTES:
                return
            await self._begin(csp(bytes(self.body)))
            await self.send({**message, "body": bytes(self.body)})
            self.body.clear()
        else:
            await self.send(message)

    async def _begin(self, policy: str) -> None:
        assert self.start is not None
        new = {**FIXED, "content-security-policy": policy}
        if not self.path.startswith(_PARTS):
            new["cache-control"] = "no-store"
        given = {name.lower() for name, _ in self.start["headers"]}
        added = [(name.encode(), value.encode()) for name, value in new.items() if name.encode() not in given]
        start, self.start = {**self.start, "headers": [*self.start["headers"], *added]}, None
        await self.send(start)


def readable(scope: Scope) -> Scope:
    """The scope of a request for a page, without compression: its scripts are hashed on the way out."""
    if scope["path"] not in ("/", "/docs"):
        return scope
    return {**scope, "headers": [(n, v) for n, v in scope["headers"] if n.lower() != b"accept-encoding"]}
