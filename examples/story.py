"""Tell what happens in the example logs: routine, a noisy agent, a deployment, and a break-in.

Every strand of the story draws from its own seeded dice, so that a change to one leaves the others as they
were. Only ``Random.random()`` is used: its values are the same on every Python and every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import examples.cast as c
from examples.cast import NS, Pod, Rule, Value

MINUTE, HOUR, DAY = 60 * NS, 3600 * NS, 86_400 * NS
MONDAY = 1_748_822_400 * NS
"""2025-06-02T00:00:00Z, where the week begins."""
DEPLOYED = MONDAY + 2 * DAY + 14 * HOUR
"""Wednesday 14:00, when storefront 2.4.0 begins to replace 2.3.1."""
BROKEN_INTO = MONDAY + 4 * DAY + 23 * HOUR + 37 * MINUTE
"""Friday 23:37, when somebody who should not be there gets in."""

API = "10.96.0.1"
EVIL = "203.0.113.66"
HOSTS = {"shop": "198.51.100.23", "billing": "198.51.100.40", "mail": "192.0.2.25"}
T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """Something that a rule noticed: when, where, and the fields that differ from the pod's own."""

    time: int
    pod: Pod
    rule: Rule
    fields: dict[str, Value]


class Dice:
    """A source of chance that gives the same values for the same name."""

    def __init__(self, name: str) -> None:
        self._random = Random(name).random

    def below(self, end: int) -> int:
        """Give a whole number from 0 up to, and without, ``end``."""
        return int(self._random() * end)

    def chance(self, likely: float) -> bool:
        """Say yes with the likelihood given, 0 to 1."""
        return self._random() < likely

    def pick(self, things: Sequence[T]) -> T:
        """Give one of the things."""
        return things[self.below(len(things))]


def run(
    command: str, *, exe: str = "", parent: str | None = "sh", user: str = "root", tty: int = 0, **more: Value
) -> dict[str, Value]:
    """Give the fields of a process, from its command line and what is known of it."""
    name = command.split(" ", 1)[0].rsplit("/", 1)[-1]
    uid = {"root": 0, "www-data": 33, "node": 1000, "": 10001}[user]
    fields: dict[str, Value] = {
        "evt.type": "execve", "evt.arg.flags": "EXE_WRITABLE|EXE_LOWER_LAYER", "user.name": user or None,
        "user.uid": uid, "user.loginuid": -1, "proc.name": name[:15],
        "proc.exepath": exe or f"/usr/bin/{name}", "proc.pname": parent, "proc.pcmdline": parent,
        "proc.cmdline": command, "proc.tty": tty,
        "proc.aname[2]": "containerd-shim", "proc.aname[3]": "systemd",
    }  # fmt: skip
    return fields | {key.replace("__", "."): value for key, value in more.items()}


def opened(path: str, flags: str = "O_RDONLY|O_CLOEXEC|FD_UPPER_LAYER") -> dict[str, Value]:
    """Give the fields of a file being opened."""
    return {"evt.type": "openat", "evt.arg.flags": flags, "fd.name": path, "evt.arg.path": None}


def connected(dice: Dice, pod: Pod, to: str, port: int, domain: str | None = None) -> dict[str, Value]:
    """Give the fields of a TCP connection from the pod's address to another."""
    here = 32768 + dice.below(28000)
    return {
        "evt.type": "connect", "evt.arg.flags": None, "fd.name": f"{pod.address}:{here}->{to}:{port}",
        "fd.lport": here, "fd.rport": port, "fd.type": "ipv4", "fd.l4proto": "tcp", "fd.sip": to,
        "fd.sip.name": domain,
    }  # fmt: skip


WRITTEN = "O_TRUNC|O_CREAT|O_WRONLY|O_CLOEXEC|FD_UPPER_LAYER"


def every(dice: Dice, start: int, end: int, step: int) -> Iterator[int]:
    """Give one time in each step, somewhere in its middle half."""
    for at in range(start, end, step):
        yield at + step // 4 + dice.below(step // 2)


def in_rhythm(dice: Dice, start: int, end: int, step: int, *, people: bool) -> Iterator[int]:
    """Give times that follow the working week: people sleep at night, customers a little less."""
    for at in every(dice, start, end, step):
        weekday, hour = (at // DAY + 3) % 7, at % DAY // HOUR
        busy = 0.6 if hour == 12 else 1.0 if 8 <= hour < 18 else 0.4 if hour in (7, 18, 19) else 0.0
        weight = busy * (weekday < 5) if people else (0.12 + 0.88 * busy) * (1.0 if weekday < 5 else 0.45)
        if dice.chance(weight):
            yield at


def noisy_agent(start: int, end: int, step: int) -> Iterator[Event]:
    """Let the metrics agent list pods, on a connection of its own each time: the noise of the week."""
    for pod, pace in zip(c.AGENTS, (step, step * 5 // 3), strict=True):
        dice = Dice(f"agent {pod.name} {start}")
        for at in every(dice, start, end, pace):
            agent = run("metrics-agent --scrape=pods --interval=15s", exe="/usr/local/bin/metrics-agent",
                        parent=None, user="", proc__pid=pod.pid("agent"))  # fmt: skip
            yield Event(at, pod, c.API_SERVER, agent | connected(dice, pod, API, 443))


def probes(start: int, end: int, step: int) -> Iterator[Event]:
    """Let health probes start shells below servers, all day and all night."""
    for pod in c.SERVICES[::2] + c.SERVICES[3:4]:
        dice = Dice(f"probe {pod.name} {start}")
        command = f"sh -c /usr/local/bin/healthcheck --service {pod.container} --timeout 2s"
        above = f"java -jar /app/{pod.container}.jar"
        for at in every(dice, start, end, step):
            shell = run(command, parent="java", user="", proc__pcmdline=above)
            yield Event(at, pod, c.UNTRUSTED_SHELL, shell)


def customers(start: int, end: int, step: int) -> Iterator[Event]:
    """Let the services call other companies while customers are awake."""
    for pod in c.SERVICES:
        dice = Dice(f"customers {pod.name} {start}")
        for at in in_rhythm(dice, start, end, step, people=False):
            worker = run(f"node /srv/{pod.container}/worker.js", parent="node", user="node")
            if dice.chance(0.4):
                mail = run("php-fpm: pool www", exe="/usr/sbin/php-fpm", parent="php-fpm", user="www-data")
                line = connected(dice, pod, "10.96.0.53", 9000)
                yield Event(at, pod, c.REDIRECT, mail | line | {"evt.type": "dup2", "proc.name": "php-fpm"})
            else:
                yield Event(at, pod, c.OUTBOUND, worker | connected(dice, pod, HOSTS[pod.namespace], 443))


def operators(start: int, end: int, step: int) -> Iterator[Event]:
    """Let operators look into pods on working days: a shell, then now and then a tool."""
    dice = Dice(f"operators {start}")
    for at in in_rhythm(dice, start, end, step, people=True):
        pod, shell = dice.pick((*c.SERVICES, c.TOOLBOX)), dice.pick(("sh", "bash"))
        yield Event(at, pod, c.TERMINAL, run(shell, exe=f"/bin/{shell}", parent=None, tty=34816))
        if dice.chance(0.35):
            host = dice.pick(("cart.shop", "ledger.billing", "search.shop"))
            command = dice.pick((f"dig +short {host}.svc.cluster.local", f"nc -zv {host} 8080"))
            later = at + (20 + dice.below(200)) * NS
            yield Event(later, pod, c.NETWORK_TOOL, run(command, parent=shell, tty=34816))
        elif pod is c.TOOLBOX:
            app = dice.pick(("cart", "search", "storefront"))
            command = f"kubectl --namespace shop get pods -l app={app}"
            yield Event(at + (5 + dice.below(90)) * NS, pod, c.CLIENT, run(command, parent=shell, tty=34816))
        elif dice.chance(0.1):
            look = run("cat /proc/1/environ", parent=shell, tty=34816) | opened("/proc/1/environ")
            yield Event(at + 30 * NS, pod, c.ENVIRON, look)


def nights(start: int, end: int) -> Iterator[Event]:
    """Let cron, log rotation, backups and a pod that updates itself do their daily and hourly work."""
    dice = Dice(f"nights {start}")
    for pod in c.BACKUPS:
        for at in every(dice, start, end, HOUR):
            copy = run("rsync -a --delete /srv/export/ 10.0.8.20::hourly", parent="cron")
            yield Event(at, pod, c.COPY_OUT, copy)
        for midnight in range(start - start % DAY, end, DAY):
            at = midnight + 2 * HOUR + dice.below(300 * NS)
            for n, path in enumerate(("/etc/shadow", "/etc/sudoers", "/etc/pam.d/login", "/etc/shadow-")):
                backup = run("restic backup /etc", parent="backup.sh") | opened(path)
                yield Event(at + n * 40_000_000, pod, c.SENSITIVE, backup)
            copy = run("cp '/srv/export/Übersicht für März.csv' /dev/backup0", parent="backup.sh")
            yield Event(at + 9 * NS, pod, c.BELOW_DEV, copy | opened("/dev/backup0", WRITTEN))
            for n, log in enumerate(("syslog", "auth.log", "cron")):
                at = midnight + 6 * HOUR + 25 * MINUTE + dice.below(20 * NS) + n * 20 * NS
                rotate = run("logrotate /etc/logrotate.conf", exe="/usr/sbin/logrotate", parent="run-parts")
                yield Event(at, pod, c.CLEAR_LOG, rotate | opened(f"/var/log/{log}", WRITTEN))
    for at in every(dice, start, end, 3 * HOUR):
        table = run("crontab /etc/cron.d/intranet", parent="entrypoint.sh")
        yield Event(at, c.LEGACY, c.CRON, table | opened("/etc/cron.d/intranet", WRITTEN))
        reload = run("python3 /opt/reload.py", parent="entrypoint.sh")
        yield Event(at + NS, c.LEGACY, c.WRITE_ETC, reload | opened("/etc/intranet/site.conf", WRITTEN))
    for midnight in range(start - start % DAY, end, DAY):
        for n, command in enumerate(("apt-get -qq update", "apt-get -y upgrade", "dpkg --configure -a")):
            at = midnight + 4 * HOUR + 17 * MINUTE + n * 25 * NS + dice.below(NS)
            yield Event(at, c.LEGACY, c.PACKAGES, run(command, parent="unattended-upgr"))


def starting(pods: Sequence[Pod], name: str, *, packages: bool) -> Iterator[Event]:
    """Let new pods start; with packages, their entry point installs what the image should have brought."""
    dice = Dice(name)
    libraries = ("libvips42", "fonts-noto-cjk", "curl", "jq", "tzdata", "gnupg", "libpq5", "gettext")
    for pod in pods:
        at = pod.started + dice.below(NS)
        first = run("entrypoint.sh serve", exe="/entrypoint.sh", parent="containerd-shim")
        yield Event(at, pod, c.AS_ROOT, first)
        mounts: dict[str, Value] = {"container.mounts": "/proc:/host/proc:ro:false:private"}
        yield Event(at + NS // 3, pod, c.MOUNT, first | mounts)
        if not packages:
            continue
        commands = ["apt-get -qq update", *(f"apt-get install -y {package}" for package in libraries)]
        commands += [f"dpkg --unpack /var/cache/apt/archives/{package}.deb" for package in libraries]
        for command in commands:
            at += (1 + dice.below(4)) * NS + dice.below(NS)
            yield Event(at, pod, c.PACKAGES, run(command, parent="entrypoint.sh"))
        themes = f"curl -fsSL -o /srv/themes.tar https://themes.example/{pod.tag}.tar"
        yield Event(at + 2 * NS, pod, c.FETCH, run(themes, parent="entrypoint.sh"))


def storefront_traffic(start: int, end: int, step: int) -> Iterator[Event]:
    """Let the storefront call its payment provider: another one since version 2.4.0."""
    before, after = c.storefronts("2.3.1", start - 9 * DAY), c.storefronts("2.4.0", DEPLOYED)
    dice = Dice(f"storefront {start}")
    for at in in_rhythm(dice, start, end, step, people=False):
        new = at > DEPLOYED + 9 * MINUTE
        pod = dice.pick(after if new else before)
        worker = run("node /srv/storefront/pay.js", parent="node", user="node")
        provider = "203.0.113.40" if new else HOSTS["shop"]
        yield Event(at, pod, c.OUTBOUND, worker | connected(dice, pod, provider, 443))
