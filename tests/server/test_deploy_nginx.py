"""The samples for nginx: taken by it where it is there, and bounding what the servers behind them bound."""

from __future__ import annotations

import base64
import http.client
import http.server
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from server.evaluation.quotas import Quotas
from server.settings import KEEP_ALIVE_S, Limits
from tests.server.evaluation.live import free_port
from tests.server.test_deploy import SERVER


def blocks(text: str) -> None:
    """Refuse what is no list of nginx's directives: each ends in `;`, or opens a block that is closed."""
    depth = 0
    for line in text.splitlines():
        bare = line.partition("#")[0].strip()
        if not bare:
            continue
        assert bare[-1] in ";{}", line
        depth += bare.endswith("{") - (bare == "}")
        assert depth >= 0, line
    assert depth == 0


def test_nginx_bounds_and_forwards_as_the_guard_expects() -> None:
    main, site, inc = ((SERVER / name).read_text() for name in ("nginx.conf", "site.inc", "proxy.inc"))
    for text in (main, site, inc):
        blocks(text)
    assert main.count("include /etc/nginx/site.inc;") == 1
    size = re.search(r"client_max_body_size (\d+)k;", main)
    assert size is not None
    assert int(size[1]) * 1024 == Limits().body_bytes
    assert re.search(rf"client_body_timeout {Limits().body_s:g}s;", site)
    read = re.search(r"proxy_read_timeout (\d+)s;", site)
    assert read is not None
    assert int(read[1]) > Limits().answer_s
    told = dict(re.findall(r'proxy_set_header (\S+) "?([^;"]*)"?;', inc))
    assert told["X-Forwarded-For"] == "$remote_addr"  # not what the client says
    assert told["Host"] == "$http_host"
    assert told["X-Forwarded-Proto"] == "$scheme"
    assert "proxy_buffering off;" in inc
    assert "access_log off;" in main
    assert "access_log off;" in site
    assert re.search(r"location = /metrics \{\s*return 404;", main)
    assert "proxy_request_buffering off" not in main + site + inc  # a slow body is nginx's to wait for
    for location in re.findall(r"proxy_pass http://assistant;\n\s*(.*)", main):
        assert location == "include /etc/nginx/proxy.inc;"


def nginx_ready(folder: Path, name: str, change: dict[str, str]) -> list[str]:
    """The command of nginx with a sample's configuration in a folder of its own, a certificate made for it."""
    nginx, openssl = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin"), shutil.which("openssl")
    if nginx is None or openssl is None:
        pytest.skip("no nginx and openssl on this machine")
    (folder / "tls").mkdir()
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=ask.example.org", "-keyout",
            str(folder / "tls/privkey.pem"), "-out", str(folder / "tls/fullchain.pem")]  # fmt: skip
    subprocess.run([openssl, *made], check=True, capture_output=True, timeout=60)
    hashed = subprocess.run([openssl, "passwd", "-6", "s3cret"], check=True, capture_output=True, text=True, timeout=60)
    (folder / "mlflow.users").write_text(f"ann:{hashed.stdout}")
    for one in ("proxy.inc", "site.inc"):
        (folder / one).write_text((SERVER / one).read_text().replace("/etc/nginx", str(folder)))
    text = (SERVER / name).read_text()
    for old, new in change.items():
        assert old in text, old
        text = text.replace(old, new)
    if old_nginx(nginx):
        text = text.replace("http2 on;", "")
    text = re.sub(r"/etc/nginx/|(?<= )/tmp/", f"{folder}/", text).replace("/dev/stderr", "stderr")
    if os.getuid() == 0:  # its worker would be nobody, who can't look into this folder
        text = "user root;\n" + text
    (folder / "nginx.conf").write_text(text)
    return [nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def old_nginx(nginx: str) -> bool:
    """Whether it does not know `http2 on`."""
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr
    return tuple(map(int, re.findall(r"\d+", version)[:3])) < (1, 25, 1)


def test_nginx_closes_idle_connections_before_the_servers_do() -> None:
    """Else a request now and then goes into a connection that the server has just closed."""
    for name in UPSTREAMS:
        for upstream in re.findall(r"upstream \w+ \{(.*?)\}", (SERVER / name).read_text(), re.DOTALL):
            kept = re.search(r"keepalive_timeout (\d+)s;", upstream)
            assert kept is not None
            assert int(kept[1]) < KEEP_ALIVE_S


UPSTREAMS = {"nginx.conf": ("assistant:7860",), "nginx.evaluation.conf": ("api:7870", "mlflow:5000")}


@pytest.mark.parametrize("name", UPSTREAMS)
def test_nginx_takes_its_configuration(name: str, tmp_path: Path) -> None:
    command = nginx_ready(tmp_path, name, dict.fromkeys(UPSTREAMS[name], "127.0.0.1:7860"))
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_heads_commands_put_both_sites_into_nginx_of_a_package(tmp_path: Path) -> None:
    """As Debian's or nginx.org's own configuration has it: with directives of its own, and another default server."""
    nginx = nginx_ready(tmp_path, "nginx.conf", {"assistant:7860": "127.0.0.1:7860"})[0]
    plain, tls = free_port(), free_port()
    own = tmp_path / "package.conf"
    own.write_text(
        f"{'user root;' if os.getuid() == 0 else ''} pid {tmp_path}/pid; events {{}} http {{ server_tokens off;"
        "ssl_protocols TLSv1.2 TLSv1.3; access_log off; keepalive_timeout 65; types { text/html html; }"
        f"include {tmp_path}/conf.d/*.conf; server {{ listen {plain} default_server; }} }}"
    )
    (tmp_path / "conf.d").mkdir()
    server = tmp_path / "server"
    server.mkdir()
    for name in ("proxy.inc", "site.inc", *UPSTREAMS):
        (server / name).write_text((SERVER / name).read_text())
    shutil.copy(tmp_path / "mlflow.users", server)
    for name in UPSTREAMS:
        head = (SERVER / name).read_text().partition("worker_processes")[0]
        for command in re.findall(r"^#   ((?:sed|cp)(?:.*\\\n)?.*)", head, re.MULTILINE):
            if "http2 on" not in command or old_nginx(nginx):
                command = command.replace("\\\n#", "").replace("/etc/nginx", str(tmp_path))
                subprocess.run(command, shell=True, cwd=server, check=True, timeout=60)
    for file in [*(tmp_path / "conf.d").iterdir(), *tmp_path.glob("*.inc")]:
        text = file.read_text().replace("/etc/nginx", str(tmp_path))
        file.write_text(text.replace("listen 80;", f"listen {plain};").replace("listen 443 ", f"listen {tls} "))
    assert len(list((tmp_path / "conf.d").iterdir())) == 2
    command = [nginx, "-e", "stderr", "-p", str(tmp_path), "-c", str(own), "-t"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


class Heard(http.server.BaseHTTPRequestHandler):
    """A server behind nginx that says what it was asked, and how long the body was."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        n, length = 0, int(self.headers.get("content-length", 0))
        while n < length and (part := self.rfile.read(min(length - n, 1 << 20))):
            n += len(part)
        told = f"{self.server.server_port} {n} {self.headers.get('authorization')} {self.headers['x-forwarded-for']}"
        self.send_response(200)
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told.encode())

    do_POST = do_GET

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def behind() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_nginx_before_the_evaluation_service(tmp_path: Path) -> None:
    """Uploads pass through up to the service's limit, other bodies to theirs; MLflow is behind a login that it does not
    see; measures are not for outside."""
    plain, tls = free_port(), free_port()
    with behind() as api, behind() as mlflow:
        change = {"api:7870": f"127.0.0.1:{api}", "mlflow:5000": f"127.0.0.1:{mlflow}",
                  "listen 8080": f"listen {plain}", "listen 8443": f"listen {tls}"}  # fmt: skip
        command = nginx_ready(tmp_path, "nginx.evaluation.conf", change)
        process = subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.PIPE, text=True)
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until and socket.socket().connect_ex(("127.0.0.1", tls)):
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.05)

            def ask(path: str, host: str = "evaluate.example.org", body: bytes | None = None, **headers: str) -> Any:
                context = ssl._create_unverified_context()
                line = http.client.HTTPSConnection("127.0.0.1", tls, timeout=30, context=context)
                try:
                    line.request("POST" if body else "GET", path, body, {"host": host, **headers})
                    answer = line.getresponse()
                    return answer.status, answer.read().decode()
                finally:
                    line.close()

            most = Quotas().upload_bytes
            told = ask("/v1/evaluation/uploads?window-size=4", body=bytes(most), authorization="Bearer x")
            assert told == (200, f"{api} {most} Bearer x 127.0.0.1")
            assert ask("/v1/evaluation/synthetic", body=bytes(1 << 20))[0] == 200
            assert ask("/v1/evaluation/generations", body=bytes(Limits().body_bytes))[0] == 200
            for path, size in (("uploads", most + 1), ("synthetic", most + 1), ("jobs", 65_537), ("uploads/x", 65_537)):
                try:
                    assert ask(f"/v1/evaluation/{path}", body=bytes(size))[0] == 413
                except OSError:  # it was closed while the body was still being sent
                    assert size > most
            assert ask("/metrics")[0] == 404
            login = base64.b64encode(b"ann:s3cret").decode()
            wrong = base64.b64encode(b"ann:guess").decode()
            assert ask("/", "mlflow.example.org")[0] == 401
            assert ask("/", "mlflow.example.org", authorization=f"Basic {wrong}")[0] == 401
            told = ask("/", "mlflow.example.org", authorization=f"Basic {login}", **{"x-forwarded-for": "10.0.0.1"})
            assert told == (200, f"{mlflow} 0 None 127.0.0.1")
            line = http.client.HTTPConnection("127.0.0.1", plain, timeout=30)
            line.request("GET", "/docs", headers={"host": "evaluate.example.org"})
            answer = line.getresponse()
            assert (answer.status, answer.headers["location"]) == (308, "https://evaluate.example.org/docs")
            line.close()
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)
            process.stderr and process.stderr.close()


def test_nginx_bounds_what_the_evaluation_service_does() -> None:
    text, quotas = (SERVER / "nginx.evaluation.conf").read_text(), Quotas()
    blocks(text)
    assert quotas.upload_bytes == quotas.rows_bytes == 32 * 2**20, "one location for both"
    assert "client_max_body_size 32m;" in text
    assert text.count("include /etc/nginx/site.inc;") == text.count("listen 8443 ssl;") == 2
    assert f"client_body_timeout {quotas.stall_s:g}s;" in text
    assert f"client_max_body_size {Limits().body_bytes // 1024}k;" in text
    assert text.count("proxy_request_buffering off;") == 1
    uploads = text.partition("location ~ ^/v1/evaluation/(uploads|synthetic)$ {")[2].partition("}")[0]
    patience = re.search(r"proxy_read_timeout (\d+)s;", uploads)
    assert patience is not None
    # measured: 14 s for the largest of small values, and as many as are let in wait for each other
    assert int(patience[1]) >= 14 * quotas.uploading
    assert text.count("include /etc/nginx/proxy.inc;") == text.count("proxy_pass ") == 3
