"""Write the example logs: ``python -m examples.generate [FOLDER]`` (default: the folder of this file).

The same bytes come out every time: chance is seeded, gzip carries no time and no name. The files are

* ``alerts.jsonl``: half a working day of one node, as Falco 0.40 writes it (JSON, sorted keys);
* ``week/node-1.jsonl.gz``: a week as Falco 0.40 writes it;
* ``week/node-2.jsonl.gz``: the same week on a node with Falco 0.29 (JSON, ``output_fields`` grafted last);
* ``week/node-3.log.gz``: the same week on a node with Falco 0.26 (text lines, ISO 8601 stamps).

Only the standard library is used. ``story.py`` and ``intrusion.py`` say what happens, ``cast.py`` to whom.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from time import gmtime, strftime

import examples.cast as c
import examples.story as s
from examples.cast import NS, Value
from examples.intrusion import intrusion

FIELD = re.compile(r"%([a-z0-9_.]+(?:\[\d+\])?)")
DROPS_040 = ("clone_fork", "execve", "connect", "open", "dir_file", "other_interest", "close", "proc")


def stamp(time: int, form: str = "%Y-%m-%dT%H:%M:%S") -> str:
    """Give a UTC time as text with nine digits after the second."""
    return f"{strftime(form, gmtime(time // NS))}.{time % NS:09d}"


def fields_of(event: s.Event) -> dict[str, Value]:
    """Give all that is known of an event: the pod's fields and its own."""
    pod = event.pod
    known: dict[str, Value] = {
        "container.id": pod.container_id, "container.name": pod.container,
        "container.image.repository": pod.image,
        "container.image.tag": pod.tag, "container.start_ts": pod.started, "k8s.ns.name": pod.namespace,
        "k8s.pod.name": pod.name,
        "proc.pid": pod.pid(str(event.fields["proc.name"])) + event.time // s.HOUR % 997,
    }  # fmt: skip
    return known | event.fields


def spoken(template: str, fields: dict[str, Value]) -> tuple[str, dict[str, Value]]:
    """Fill a rule's output with values; give the text and the fields that it named."""
    used = {name: fields[name] for name in FIELD.findall(template)}
    return FIELD.sub(lambda m: "<NA>" if used[m[1]] is None else str(used[m[1]]), template), used


def compact(value: object, *, ascii_only: bool = False) -> str:
    """Give sorted, compact JSON, with non-ASCII letters as they are or, as in old Falco, as ``\\uXXXX``."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only)


def falco_040(event: s.Event) -> str:
    """Render an event as Falco 0.40 does in JSON, with ``proc.pid`` as an extra field."""
    fields = fields_of(event)
    text, used = spoken(event.rule.template(), fields)
    used |= {"evt.time": event.time, "proc.pid": fields["proc.pid"]}
    output = f"{stamp(event.time, '%H:%M:%S')}: {event.rule.priority} {text}"
    return compact({
        "hostname": event.pod.node, "output": output, "output_fields": used, "priority": event.rule.priority,
        "rule": event.rule.name, "source": "syscall", "tags": event.rule.tags,
        "time": stamp(event.time) + "Z",
    })  # fmt: skip


def falco_029(event: s.Event) -> str:
    """Render an event as Falco 0.29 does in JSON: no host, source or tags, the fields grafted last."""
    fields = fields_of(event)
    text, used = spoken(event.rule.template(old=True), fields)
    used["evt.time"] = event.time
    output = f"{stamp(event.time, '%H:%M:%S')}: {event.rule.priority} {text}"
    head = {
        "output": output, "priority": event.rule.priority, "rule": event.rule.name,
        "time": stamp(event.time) + "Z",
    }  # fmt: skip
    return f'{compact(head, ascii_only=True)[:-1]}, "output_fields": {compact(used, ascii_only=True)}}}'


def falco_026(event: s.Event) -> str:
    """Render an event as Falco 0.26 does in text with ``time_format_iso_8601``."""
    text, _ = spoken(event.rule.template(old=True), fields_of(event))
    return f"{stamp(event.time)}+0000: {event.rule.priority} {text}"


def drops(time: int, node: str, lost: int, seen: int) -> str:
    """Render Falco's own alert about lost system calls: since 0.35 with a source, before without."""
    rule = "Falco internal: syscall event drop"
    alert: dict[str, object] = {
        "output": f"{rule}. {lost} system calls dropped in last second.", "priority": "Debug", "rule": rule,
        "time": stamp(time) + "Z",
    }  # fmt: skip
    counts = {"ebpf_enabled": "1", "n_drops": str(lost), "n_drops_bug": "0", "n_evts": str(seen)}
    if node == "node-1":
        counts |= {f"n_drops_buffer_{kind}_exit": "0" for kind in DROPS_040}
        counts |= {"n_drops_buffer_total": str(lost), "n_drops_buffer_open_exit": str(lost),
                   "n_drops_page_faults": "0", "n_drops_scratch_map": "0"}  # fmt: skip
        alert |= {"hostname": node, "source": "internal"}
    else:
        counts |= {"n_drops_buffer": str(lost), "n_drops_pf": "0"}
    return compact(alert | {"output_fields": counts})


def half_day() -> Iterator[s.Event]:
    """Give what happens on the Tuesday after the week, 06:00 to 18:00."""
    start = s.MONDAY + 8 * s.DAY + 6 * s.HOUR
    end = start + 12 * s.HOUR
    yield from s.noisy_agent(start, end, 5 * s.MINUTE)
    yield from s.probes(start, end, 20 * s.MINUTE)
    yield from s.customers(start, end, 15 * s.MINUTE)
    yield from s.operators(start, end, 12 * s.MINUTE)
    yield from s.nights(start, end)
    yield from s.starting(c.storefronts("2.4.1", start + 5 * s.HOUR), "half day", packages=True)
    # A developer's debugger: grave by the rule, harmless by the facts.
    found, tool = start + 8 * s.HOUR + 41 * s.MINUTE + 271_828_182, "/tmp/dlv"
    shell = s.run("bash", exe="/bin/bash", parent=None, tty=34816)
    yield s.Event(found - 90 * NS, c.SERVICES[0], c.TERMINAL, shell)
    debugger = s.run(f"{tool} attach 1", exe=tool, parent="bash", tty=34816)
    yield s.Event(found, c.SERVICES[0], c.DROPPED, debugger | {
        "proc.exe": tool, "proc.sname": "bash", "proc.cwd": "/tmp/",
        "proc.exe_ino.ctime": found - 33_000_000_021, "evt.arg.flags": "EXE_WRITABLE|EXE_UPPER_LAYER",
    })  # fmt: skip


def week() -> Iterator[s.Event]:
    """Give all that happens from Monday to Sunday."""
    start, end = s.MONDAY, s.MONDAY + 7 * s.DAY
    yield from s.noisy_agent(start, end, 90 * NS)
    yield from s.probes(start, end, 10 * s.MINUTE)
    yield from s.customers(start, end, 9 * s.MINUTE)
    yield from s.storefront_traffic(start, end, 7 * s.MINUTE)
    yield from s.operators(start, end, 11 * s.MINUTE)
    yield from s.nights(start, end)
    yield from s.starting(c.storefronts("2.4.0", s.DEPLOYED), "deployment", packages=True)
    yield from intrusion()


def in_order(events: Iterable[s.Event], node: str, start: int, end: int) -> list[s.Event]:
    """Give the events of one node within the times, oldest first."""
    return sorted((e for e in events if e.pod.node == node and start <= e.time < end), key=lambda e: e.time)


def with_drops(lines: list[tuple[int, str]], node: str, *times: int) -> list[str]:
    """Give lines in order of time, with alerts about lost system calls among them."""
    dice = s.Dice(f"drops {node}")
    lost = [(at, drops(at, node, 200 + dice.below(9000), 80_000 + dice.below(90_000))) for at in times]
    return [line for _, line in sorted(lines + lost)]


def logs() -> Iterator[tuple[str, bytes]]:
    """Give the path of each example log, from the folder of this file, and its bytes."""
    start = s.MONDAY + 8 * s.DAY + 6 * s.HOUR
    deploying = start + 5 * s.HOUR + 77 * NS + 5_000_017
    noon = in_order(half_day(), "node-1", start, start + 12 * s.HOUR)
    lines = with_drops([(e.time, falco_040(e)) for e in noon], "node-1", deploying)
    yield "alerts.jsonl", text_of(lines)

    story, end = list(week()), s.MONDAY + 7 * s.DAY
    one, two, three = (in_order(story, f"node-{n}", s.MONDAY, end) for n in (1, 2, 3))
    busy, night = s.DEPLOYED + 61 * NS + 400_000_009, s.BROKEN_INTO + 751 * NS + 90_000_001
    lines = with_drops([(e.time, falco_040(e)) for e in one], "node-1", busy, busy + 118 * NS + 77, night)
    yield "week/node-1.jsonl.gz", packed(lines)
    sunday = s.MONDAY + 6 * s.DAY + 2 * s.HOUR + 3 * s.MINUTE + 8_192
    lines = with_drops([(e.time, falco_029(e)) for e in two], "node-2", busy + 31 * NS + 5, sunday)
    yield "week/node-2.jsonl.gz", packed(lines)
    yield "week/node-3.log.gz", packed([falco_026(e) for e in three])


def text_of(lines: list[str]) -> bytes:
    """Give lines as UTF-8, each with its newline."""
    return "".join(f"{line}\n" for line in lines).encode()


def packed(lines: list[str]) -> bytes:
    """Give lines as gzip that carries neither time nor name."""
    out = BytesIO()
    # Not gzip.compress(): what that writes into the header differs between Python versions.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as file:
        file.write(text_of(lines))
    return out.getvalue()


def main(folder: Path) -> None:
    """Write every example log below the folder, and say on stderr what was written."""
    for name, data in logs():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        plain = gzip.decompress(data) if name.endswith(".gz") else data
        count = plain.count(b"\n")
        print(f"{path}: {count:,} alerts, {len(data):,} bytes ({len(plain):,} plain)", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
