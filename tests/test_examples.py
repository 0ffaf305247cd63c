"""The example logs are what their generator makes, and can be read."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from examples.generate import logs
from rxalerts.alert import Alert
from rxalerts.wire import read

FOLDER = Path(__file__).parent.parent / "examples"
COUNTS = {
    "alerts.jsonl": 421,
    "week/node-1.jsonl.gz": 9547,
    "week/node-2.jsonl.gz": 7676,
    "week/node-3.log.gz": 2230,
}
NOISE = "Contact K8S API Server From Container"


def plain(name: str, data: bytes) -> bytes:
    """Give the text of a log, unpacked when its name says that it is packed."""
    return gzip.decompress(data) if name.endswith(".gz") else data


def lines_of(name: str) -> list[str]:
    """Give the lines of an example log as it lies in the folder."""
    return plain(name, (FOLDER / name).read_bytes()).decode().splitlines()


def alerts_of(name: str) -> list[Alert]:
    """Read an example log with the library, which must take all of it."""
    reader = read(FOLDER / name)
    alerts = list(reader)
    assert reader.rejected == 0, reader.first_rejects
    return alerts


def test_generator_makes_the_same_logs_again() -> None:
    """The generator makes the logs of the folder, and makes the same bytes twice."""
    first, second = dict(logs()), dict(logs())
    assert first == second
    assert set(first) == set(COUNTS)
    for name, data in first.items():
        # Packed bytes may differ between builds of zlib; what is in them may not.
        assert plain(name, data) == plain(name, (FOLDER / name).read_bytes()), name


def test_packed_logs_carry_neither_time_nor_name() -> None:
    """Gzip headers hold no time stamp and no file name, and all logs together stay small."""
    packed = [FOLDER / name for name in COUNTS if name.endswith(".gz")]
    for path in packed:
        header = path.read_bytes()[:10]
        assert (header[3], header[4:8]) == (0, bytes(4)), path
    assert sum(path.stat().st_size for path in packed) < 1_500_000


@pytest.mark.parametrize("name", COUNTS)
def test_each_log_has_its_alerts_in_order(name: str) -> None:
    """Each log has as many lines as its README says, oldest first, none twice."""
    lines = lines_of(name)
    assert len(lines) == COUNTS[name]
    assert f" {COUNTS[name]:,} |" in (FOLDER / "README.md").read_text(encoding="utf-8")
    json_lines = name != "week/node-3.log.gz"
    times = [str(json.loads(line)["time"]) if json_lines else line.split(": ", 1)[0] for line in lines]
    assert times == sorted(times)
    assert len(set(lines)) == len(lines)


def test_half_day_has_every_priority_and_an_internal_alert() -> None:
    """The newcomer's log shows all priorities from Critical to Debug, and one alert of Falco's own."""
    alerts = [json.loads(line) for line in lines_of("alerts.jsonl")]
    priorities = {alert["priority"] for alert in alerts}
    assert priorities == {"Critical", "Error", "Warning", "Notice", "Informational", "Debug"}
    assert Counter(alert["source"] for alert in alerts) == {"syscall": 420, "internal": 1}


def test_one_condition_tames_the_noise_and_keeps_the_break_in() -> None:
    """Namespace and process tell the noisy agent's alerts from the intruder's under the same rule."""
    alerts = [json.loads(line) for n in (1, 2) for line in lines_of(f"week/node-{n}.jsonl.gz")]
    noise = [alert["output_fields"] for alert in alerts if alert["rule"] == NOISE]
    tamed = [f for f in noise if (f["k8s.ns.name"], f["proc.name"]) == ("monitoring", "metrics-agent")]
    assert (len(noise), len(noise) - len(tamed)) == (10_755, 3)
    assert {f["proc.name"] for f in noise if f not in tamed} == {"curl"}


def test_the_break_in_is_the_only_shell_at_night() -> None:
    """Operators sleep: the one terminal opened at night is the intruder's."""
    alerts = [json.loads(line) for line in lines_of("week/node-1.jsonl.gz")]
    shells = [a for a in alerts if a["rule"] == "Terminal shell in container"]
    at_night = [a for a in shells if not 7 <= int(a["time"][11:13]) < 20]
    assert [a["time"][:16] for a in at_night] == ["2025-06-06T23:38"]
    assert len(shells) > 100


def test_field_values_have_falco_types() -> None:
    """Integers, null and letters beyond ASCII stand in the fields as Falco writes them."""
    text = "\n".join(lines_of("week/node-1.jsonl.gz"))
    fields = [json.loads(line)["output_fields"] for line in text.splitlines()]
    assert all(isinstance(f["evt.time"], int) for f in fields if "evt.time" in f)
    assert any(f.get("user.name", "") is None for f in fields)
    assert "kundenübersicht" in text


@pytest.mark.parametrize("name", COUNTS)
def test_every_line_of_each_log_reads(name: str) -> None:
    """The reader takes every line of every log, with nothing rejected and times in order."""
    alerts = alerts_of(name)
    assert len(alerts) == COUNTS[name]
    times = [alert.time_ns for alert in alerts]
    assert times == sorted(times)
    assert 1_748_822_400 * 10**9 <= times[0] < times[-1] < 1_749_600_000 * 10**9
