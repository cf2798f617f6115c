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
from server.evaluation.quotas import Quotas
from server.settings import PREFIX, Limits, limits_of

REPO = Path(__file__).parents[2]
SERVER = REPO / "server"
MANUAL = REPO / "docs" / "serving.md"
COMPOSED = ("compose.yaml", "compose.evaluation.yaml")
UNITS = ("querywright", "querywright-evaluation", "querywright-evaluation-worker", "querywright-evaluation-mlflow")
BEGIN, END = "<!-- limits: written by python -m tests.server.test_deploy -->", "<!-- /limits -->"


def limits_table(kind: type = Limits) -> str:
    """The table of limits, out of the class that holds them."""
    told = dict(re.findall(r"^        (\w+): (.+)$", kind.__doc__ or "", re.MULTILINE))
    rows = ["| limit | default | what it is |", "| --- | --- | --- |"]
    for field in fields(kind):
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
    found |= {f"QUERYWRIGHT_{name}" for name in re.findall(r'"([A-Z_]+)"', (SERVER / "settings.py").read_text())}
    return found | {f"{PREFIX}{field.name.upper()}" for kind in (Limits, Quotas) for field in fields(kind)}


def composed(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SERVER / name).read_text())
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return composed("compose.yaml")


@pytest.mark.parametrize("file", COMPOSED)
def test_services_have_no_more_than_they_need(file: str) -> None:
    for name, service in composed(file)["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "cap_add" not in service, name
        assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & set(service), name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert name == "worker" or service["healthcheck"]["test"][0] == "CMD", name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert all(":" in volume for volume in service["volumes"]), name
        assert not any("docker.sock" in volume for volume in service["volumes"]), name
        assert set(service) <= KEYS, name  # a misspelt one would be an error, or nothing


KEYS = {"build", "cap_drop", "command", "cpus", "depends_on", "env_file", "environment", "expose", "healthcheck",
        "hostname", "image", "init", "logging", "mem_limit", "networks", "pids_limit", "ports", "profiles", "read_only",
        "restart", "security_opt", "shm_size", "stop_grace_period", "tmpfs", "ulimits", "user", "volumes"}  # fmt: skip


def test_the_assistant_and_its_database_are_alone(compose: dict[str, Any]) -> None:
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
    assert ignored.index("server/*.env") > ignored.index("!server")
    extras = re.findall(r"(?m)^([\w-]+) = \[", (REPO / "pyproject.toml").read_text())
    units = "".join((SERVER / f"{name}.service").read_text() for name in UNITS)
    asked = re.findall(r"'\.\[([\w,-]+)\]'", units) + re.findall(r"EXTRAS[=:] ?([\w,-]+)", text)
    asked += re.findall(r"EXTRAS: ([\w,-]+)", (SERVER / "compose.evaluation.yaml").read_text())
    assert len(asked) >= 5
    for named in asked:
        assert set(named.split(",")) <= set(extras), named


def unit_values(name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(SERVER / f"{name}.service")
    return dict(parser["Service"])


@pytest.mark.parametrize("name", UNITS)
def test_the_units_are_hardened(name: str) -> None:
    unit = unit_values(name)
    wanted = {"DynamicUser": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "NoNewPrivileges": "yes",
              "CapabilityBoundingSet": "", "PrivateTmp": "yes", "PrivateDevices": "yes", "RestrictNamespaces": "yes",
              "IPAddressDeny": "any", "IPAddressAllow": "localhost", "UMask": "0077",
              "StateDirectory": "querywright-evaluation" if "evaluation" in name else "querywright"}  # fmt: skip
    assert {key: unit.get(key) for key in wanted} == wanted
    assert "evaluation" in name or unit["MemoryDenyWriteExecute"] == "yes"  # torch compiles kernels as it runs
    assert "--host 127.0.0.1" in unit["ExecStart"] or name.endswith("worker")
    assert "--open" not in unit["ExecStart"]
    assert not unit["EnvironmentFile"].startswith("-"), "without its settings there would be no login"


@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_units(name: str, tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("no systemd-analyze on this machine")
    text = (SERVER / f"{name}.service").read_text().replace("/opt/querywright/bin/querywright", sys.executable)
    unit = tmp_path / f"{name}.service"
    unit.write_text(text)
    done = subprocess.run([tool, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    assert ours == [], done.stderr
    rated = subprocess.run([tool, "security", "--offline=true", "--threshold=25", "--no-pager", str(unit)],
                           capture_output=True, text=True, timeout=60)  # fmt: skip
    if "unrecognized option" in rated.stderr or "Unknown" in rated.stderr:
        pytest.skip("this systemd-analyze rates no files")
    assert rated.returncode == 0, rated.stdout[-300:] + rated.stderr


if __name__ == "__main__":
    head, _, tail = parts(MANUAL.read_text())
    MANUAL.write_text(f"{head}\n{limits_table()}\n\n{tail}")
