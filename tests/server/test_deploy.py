"""What lies beside the server for those who deploy it, and its manual: checked as far as one can without doing it."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.access.guard import OPEN
from server.settings import PREFIX, Limits, limits_of

REPO = Path(__file__).parents[2]
SERVER = REPO / "server"
MANUAL = REPO / "docs" / "serving.md"
BEGIN, END = "<!-- limits: written by python -m tests.server.test_deploy -->", "<!-- /limits -->"


def limits_table() -> str:
    """The table of limits, out of the class that holds them."""
    told = dict(re.findall(r"^        (\w+): (.+)$", Limits.__doc__ or "", re.MULTILINE))
    rows = ["| limit | default | what it is |", "| --- | --- | --- |"]
    for field in fields(Limits):
        value: Any = field.default
        shown = f"{value:,}" if isinstance(value, int) else f"{value:g}"
        rows.append(f"| `{field.name}` | {shown} | {told[field.name].rstrip('.')} |")
    return "\n".join(rows)


def parts(text: str) -> tuple[str, str, str]:
    head, _, rest = text.partition(BEGIN)
    table, _, tail = rest.partition(END)
    return head + BEGIN + "\n", table.strip(), END + tail


def test_the_manual_has_every_limit() -> None:
    table = parts(MANUAL.read_text())[1]
    assert table == limits_table(), "python -m tests.server.test_deploy writes it"


def test_the_manual_names_what_there_is() -> None:
    text = MANUAL.read_text()
    for path in re.findall(r"`(?:server|tests|docs|benchmarks)/[\w./-]+`", text):
        assert (REPO / path.strip("`")).exists(), path
    for path in re.findall(r"(?:GET|POST) `?(/[\w/.]+)|`(/(?:v1|health|ready|metrics|mcp)[\w/.]*)`", text):
        assert OPEN.fullmatch("".join(path)) or "".join(path) == "/v1", path
    for variable in re.findall(r"QUERYWRIGHT_[A-Z_]+", text):
        assert variable in {*known_variables(), PREFIX + "NAME"}, variable


def known_variables() -> set[str]:
    """What the code reads from the environment."""
    found = set()
    for file in [*SERVER.rglob("*.py"), *(REPO / "src").rglob("*.py")]:
        found |= set(re.findall(r"\bQUERYWRIGHT_[A-Z_]+[A-Z]\b", file.read_text(encoding="utf-8")))
    return found | {f"{PREFIX}{field.name.upper()}" for field in fields(Limits)}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SERVER / "compose.yaml").read_text())
    return found


def test_services_have_no_more_than_they_need(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "cap_add" not in service, name
        assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & set(service), name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert all(":" in volume for volume in service["volumes"]), name
        assert not any("docker.sock" in volume for volume in service["volumes"]), name
    services = compose["services"]
    assert compose["networks"]["inside"]["internal"] is True
    assert services["assistant"]["networks"] == services["db"]["networks"] == ["inside"]
    assert "ports" not in services["assistant"]
    assert "ports" not in services["db"]
    assert services["db"]["profiles"] == ["postgres"]
    assert services["assistant"]["environment"]["QUERYWRIGHT_TRUSTED_PROXIES"] in str(compose["networks"]["inside"])


def test_no_secret_stands_in_a_file_and_each_has_to_be_given(compose: dict[str, Any]) -> None:
    given = compose["services"]["assistant"]["environment"]
    for name in ("QUERYWRIGHT_TOKEN", "QUERYWRIGHT_ORIGINS"):
        assert given[name].startswith(f"${{{name}:?"), name  # compose stops where it is empty
    assert compose["services"]["db"]["environment"]["POSTGRES_PASSWORD"].startswith("${")
    example = (SERVER / ".env.example").read_text()
    assert re.search(r"^QUERYWRIGHT_TOKEN=$", example, re.MULTILINE)
    ours = set(re.findall(r"^#? ?(QUERYWRIGHT_[A-Z_]+)=", example, re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)", (SERVER / "compose.yaml").read_text()))
    assert ours <= known_variables() | used
    assert used <= set(re.findall(r"^#? ?(\w+)=", example, re.MULTILINE)), "a setting that the example does not have"


def test_the_commands_options_exist(compose: dict[str, Any]) -> None:
    unit = (SERVER / "querywright.service").read_text()
    command = compose["services"]["assistant"]["command"]
    wide = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1", "PATH": ""}
    asked = [sys.executable, "-m", "querywright", "serve", "--help"]
    helped = subprocess.run(asked, capture_output=True, text=True, check=True, env=wide)
    started = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert started is not None
    for words in (command, started[1].split()):  # what several APIs share lies beside the workspace
        assert re.fullmatch(r"(/data|\$\{STATE_DIRECTORY\})/\w+", words[words.index("--workspace") + 1])
    for option in [*filter(lambda word: word.startswith("--"), [*command, *started[1].split()])]:
        assert option in helped.stdout, option
    for variable in re.findall(rf"{PREFIX}\w+=\d+", (SERVER / ".env.example").read_text()):
        limits_of(dict([variable.split("=")]))


def test_the_image_is_small_locked_and_runs_as_nobody() -> None:
    text = (SERVER / "Dockerfile").read_text()
    stages = re.split(r"(?m)^FROM ", text)[1:]
    assert len(stages) == 2
    assert re.search(r"(?m)^USER \d+:\d+$", stages[1])
    assert "build-essential" not in stages[1]
    for line in re.findall(r"pip install (.*)", text):
        assert "-c constraints.txt" in line, line
    ignored = (SERVER / "Dockerfile.dockerignore").read_text().split()
    for source in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", text):
        for one in source.split():
            assert (REPO / one).exists(), one
            assert f"!{one}" in ignored, one
    assert ignored.index("server/.env") > ignored.index("!server"), "secrets would go into the image"
    extras = re.findall(r"(?m)^([\w-]+) = \[", (REPO / "pyproject.toml").read_text())
    for named in re.findall(r"'\.\[([\w,-]+)\]'", text + (SERVER / "querywright.service").read_text()):
        assert set(named.split(",")) <= set(extras)


def unit_values() -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(SERVER / "querywright.service")
    return dict(parser["Service"])


def test_the_unit_is_hardened() -> None:
    unit = unit_values()
    wanted = {"DynamicUser": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "NoNewPrivileges": "yes",
              "CapabilityBoundingSet": "", "PrivateTmp": "yes", "PrivateDevices": "yes", "RestrictNamespaces": "yes",
              "MemoryDenyWriteExecute": "yes", "IPAddressDeny": "any", "IPAddressAllow": "localhost", "UMask": "0077",
              "StateDirectory": "querywright"}  # fmt: skip
    assert {key: unit.get(key) for key in wanted} == wanted
    assert "--host 127.0.0.1" in unit["ExecStart"]
    assert "--open" not in unit["ExecStart"]
    assert not unit["EnvironmentFile"].startswith("-"), "without its settings there would be no login"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("no systemd-analyze on this machine")
    text = (SERVER / "querywright.service").read_text().replace("/opt/querywright/bin/querywright", sys.executable)
    unit = tmp_path / "querywright.service"
    unit.write_text(text)
    done = subprocess.run([tool, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if "querywright.service" in line]
    assert ours == [], done.stderr
    rated = subprocess.run([tool, "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)],
                           capture_output=True, text=True, timeout=60)  # fmt: skip
    if "unrecognized option" in rated.stderr or "Unknown" in rated.stderr:
        pytest.skip("this systemd-analyze rates no files")
    assert rated.returncode == 0, rated.stdout[-300:] + rated.stderr


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
    main, inc = ((SERVER / name).read_text() for name in ("nginx.conf", "proxy.inc"))
    blocks(main)
    blocks(inc)
    size = re.search(r"client_max_body_size (\d+)k;", main)
    assert size is not None
    assert int(size[1]) * 1024 == Limits().body_bytes
    assert re.search(rf"client_body_timeout {Limits().body_s:g}s;", main)
    read = re.search(r"proxy_read_timeout (\d+)s;", inc)
    assert read is not None
    assert int(read[1]) > Limits().answer_s
    told = dict(re.findall(r'proxy_set_header (\S+) "?([^;"]*)"?;', inc))
    assert told["X-Forwarded-For"] == "$remote_addr"  # not what the client says
    assert told["Host"] == "$http_host"
    assert told["X-Forwarded-Proto"] == "$scheme"
    assert "proxy_buffering off;" in inc
    assert "access_log off;" in main
    assert re.search(r"location = /metrics \{\s*return 404;", main)
    assert "proxy_request_buffering off" not in main + inc  # a slow body is nginx's to wait for
    for location in re.findall(r"proxy_pass http://assistant;\n\s*(.*)", main):
        assert location == "include /etc/nginx/proxy.inc;"


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    nginx, openssl = shutil.which("nginx"), shutil.which("openssl")
    if nginx is None or openssl is None:
        pytest.skip("no nginx and openssl on this machine")
    (tmp_path / "tls").mkdir()
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=ask.example.org", "-keyout",
            str(tmp_path / "tls/privkey.pem"), "-out", str(tmp_path / "tls/fullchain.pem")]  # fmt: skip
    subprocess.run([openssl, *made], check=True, capture_output=True, timeout=60)
    (tmp_path / "mime.types").write_text("types { text/html html; }\n")
    shutil.copy(SERVER / "proxy.inc", tmp_path)
    text = (SERVER / "nginx.conf").read_text().replace("assistant:7860", "127.0.0.1:7860")
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < (1, 25, 1):
        text = text.replace("http2 on;", "")
    text = re.sub(r"/etc/nginx/|(?<= )/tmp/", f"{tmp_path}/", text).replace("/dev/stderr", "stderr")
    (tmp_path / "nginx.conf").write_text(text)
    done = subprocess.run([nginx, "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    head, _, tail = parts(MANUAL.read_text())
    MANUAL.write_text(f"{head}\n{limits_table()}\n\n{tail}")
