"""The systemd units: what systemd itself says of them, and against what this project promises of its services."""

import os
import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from commands import parsed, settings_known
from processes import CHECKOUT

FOLDER = CHECKOUT / "deployments" / "systemd"
UNITS = sorted(
    path
    for path in FOLDER.rglob("*")
    if path.suffix in {".service", ".target", ".timer", ".conf"} and "sysusers" not in path.name
)
SERVICES = [path for path in UNITS if path.suffix == ".service"]
LASTING = [path for path in SERVICES if path.stem in {"ffe-prefect", "ffe-worker@", "ffe-metrics"}]
KEYS = {
    "Unit": "Description Wants Requires After PartOf StartLimitIntervalSec StartLimitBurst",
    "Install": "WantedBy",
    "Timer": "OnCalendar RandomizedDelaySec Persistent",
    "Service": "Type ExecStart ExecStartPre ExecStartPost RemainAfterExit Restart RestartSec KillMode KillSignal TimeoutStartSec "
    "TimeoutStopSec SuccessExitStatus User Group StateDirectory StateDirectoryMode WorkingDirectory Environment EnvironmentFile UMask "
    "NoNewPrivileges CapabilityBoundingSet AmbientCapabilities ProtectSystem ReadWritePaths ProtectHome PrivateTmp PrivateDevices "
    "ProtectClock ProtectControlGroups ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc "
    "LockPersonality RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID RemoveIPC SystemCallArchitectures "
    "SystemCallFilter SystemCallErrorNumber LimitNOFILE TasksMax MemoryMax Nice IOSchedulingClass",
}


def _sections(path: Path) -> dict[str, dict[str, list[str]]]:
    """Sections, keys and every value of a key, in order."""
    sections: dict[str, dict[str, list[str]]] = {}
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            sections[line.strip("[]")] = current = defaultdict(list)
            continue
        key, _, value = line.partition("=")
        current[key].append(value)
    return sections


def _environment(path: Path) -> dict[str, str]:
    pairs = [pair for value in _sections(path)["Service"]["Environment"] for pair in value.split()]
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_every_section_and_key_is_one_that_systemd_has(path: Path) -> None:
    for section, keys in _sections(path).items():
        assert set(keys) <= set(KEYS[section].split()), section


def test_systemd_itself_has_nothing_to_say_against_them(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        # Not on every Linux, and not on macOS; the keys are held against the list above.
        assert UNITS
        return
    units = shutil.copytree(FOLDER, tmp_path / "units")
    for path in units.glob("*.service"):
        # It looks for every program of ExecStart.
        path.write_text(path.read_text().replace("/opt/ffe/", f"{CHECKOUT}/"))
    names = ["ffe.target", "ffe-worker@cpu.service", "ffe-worker@gpu.service", "ffe-backup.timer", "ffe-backup.service"]
    done = subprocess.run(
        [analyze, "verify", *(str(units / name) for name in names)],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{units}:"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = [line for line in done.stderr.splitlines() if str(units) in line or "ffe" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_service_can_write_its_own_folder_and_nothing_else(path: Path) -> None:
    said = _sections(path)["Service"]
    assert said["User"] == said["Group"] == ["ffe"]
    assert said["ProtectSystem"] == ["strict"]
    assert said["ReadWritePaths"] == ["/var/lib/ffe"]
    assert said["CapabilityBoundingSet"] == [""]
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictNamespaces"):
        assert said[key] == ["yes"], key
    assert said["EnvironmentFile"] == ["/etc/ffe/ffe.env"]
    assert {"MemoryMax", "TasksMax"} <= set(said)


@pytest.mark.parametrize("path", LASTING, ids=lambda path: path.name)
def test_what_lasts_is_started_again_and_has_time_to_end(path: Path) -> None:
    said = _sections(path)["Service"]
    assert said["Restart"] == ["always"]
    # SIGTERM to the main process alone: it ends its own children, which control-group would have interrupted as well.
    assert said["KillMode"] == ["mixed"]
    assert int(said["TimeoutStopSec"][0]) >= (60 if "worker" in path.name else 15)


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_every_command_exists_here_with_its_options(path: Path) -> None:
    said = _sections(path)["Service"]
    for line in (*said["ExecStartPre"], *said["ExecStart"], *said["ExecStartPost"]):
        words = shlex.split(line.replace("%i", "cpu").replace("%%", "%"))
        assert words[0].startswith("/")
        assert parsed(["sh", *words[1:]] if words[0] == "/bin/sh" else words)


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_every_variable_is_a_setting_that_somebody_reads(path: Path) -> None:
    settings_known(_environment(path))


def test_the_example_is_accepted_by_the_engine_and_by_prefect() -> None:
    lines = re.findall(r"^#?([A-Z_]+)=(.*)$", (FOLDER / "ffe.env.example").read_text(), re.MULTILINE)
    assert len(lines) == len(dict(lines))
    settings_known({name: value or "0" for name, value in lines})


def test_all_of_it_starts_and_stops_together_and_in_order() -> None:
    wanted = _sections(FOLDER / "ffe.target")["Unit"]["Wants"][0].split()
    assert wanted == [
        "ffe-prefect.service",
        "ffe-deploy.service",
        "ffe-worker@cpu.service",
        "ffe-metrics.service",
        "ffe-backup.timer",
    ]
    for path in (*LASTING, FOLDER / "ffe-deploy.service"):
        assert _sections(path)["Unit"]["PartOf"] == ["ffe.target"]
    assert _sections(FOLDER / "ffe-deploy.service")["Unit"]["After"] == ["ffe-prefect.service"]
    for name in ("ffe-worker@.service", "ffe-metrics.service"):
        assert _sections(FOLDER / name)["Unit"]["After"] == ["ffe-deploy.service"]


def test_the_server_listens_on_loopback() -> None:
    (command,) = _sections(FOLDER / "ffe-prefect.service")["Service"]["ExecStart"]
    assert "--host" not in command
    assert not any("0.0.0.0" in path.read_text() for path in UNITS)


def test_the_worker_on_the_card_may_use_the_card_and_waits_for_ollama() -> None:
    card = _sections(FOLDER / "ffe-worker@gpu.service.d" / "card.conf")
    assert card["Service"]["PrivateDevices"] == ["no"]
    assert card["Unit"]["After"] == ["ollama.service"]
    settings_known(_environment(FOLDER / "ffe-worker@gpu.service.d" / "card.conf"))
