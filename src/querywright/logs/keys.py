"""The names that log formatters give to what we use, for JSON lines and columns; and what a person names instead."""

from __future__ import annotations

from querywright.errors import QuerywrightError, did_you_mean
from querywright.logs.hit import Options

ROLES: dict[str, tuple[str, ...]] = {
    # nginx-json, Caddy, Traefik, Elastic Common Schema, pino, Google Cloud, Envoy, Heroku; the first one found counts
    "request": ("request", "request_line", "http_request"),
    "path": (
        "path", "request_uri", "uri", "url", "target", "request.uri", "RequestPath", "http.url", "url.original",
        "http.request.target", "req.url", "request.url", "request.path", "httpRequest.requestUrl", "request_path",
        "requestUri", "requestPath", "cs-uri-stem", "url.path", "http.path", "uri_path", "endpoint",
    ),
    "query": ("query_string", "query", "args", "url.query", "cs-uri-query", "uri_query", "request.query", "http.query"),
    "method": (
        "method", "request_method", "http_method", "verb", "request.method", "RequestMethod", "http.request.method",
        "req.method", "httpRequest.requestMethod", "requestMethod", "http.method", "cs-method",
    ),
    "status": (
        "status", "status_code", "response", "response_code", "DownstreamStatus", "http.response.status_code",
        "res.statusCode", "httpRequest.status", "statusCode", "http.status_code", "http.status", "sc-status", "code",
    ),
    "agent": (
        "user_agent", "http_user_agent", "agent", "useragent", "ua", "request.headers.User-Agent", "request_User-Agent",
        "user_agent.original", "req.headers.user-agent", "httpRequest.userAgent", "userAgent", "user-agent",
        "User-Agent", "http.user_agent", "http.useragent", "cs(User-Agent)",
    ),
    "client": (
        "remote_addr", "client_ip", "ip", "client", "clientip", "remote_ip", "request.client_ip", "request.remote_ip",
        "ClientHost", "client.ip", "source.ip", "req.remoteAddress", "httpRequest.remoteIp", "remoteIp", "clientIp",
        "remote_address", "c-ip", "remote_host", "x_forwarded_for",
    ),
}  # fmt: skip
"""Role → keys, most telling first. Dots descend, in JSON."""


def wanted(options: Options) -> dict[str, str]:
    """Role → key, as the person said it.

    Raises:
        QuerywrightError: no such role.
    """
    given = {} if options.path_key in ("", "path") else {"path": options.path_key}
    for role, key in options.keys:
        if role not in ROLES:
            raise QuerywrightError(
                f"no role {role!r}{did_you_mean(role, list(ROLES))}", hint=f"--key ROLE=NAME with {', '.join(ROLES)}"
            )
        given[role] = key
    return given
