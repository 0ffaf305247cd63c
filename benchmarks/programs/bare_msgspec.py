"""A bare loop with msgspec: decode to a struct with dict fields; test; encode; write. Usage: IN OUT."""

import sys
from typing import Any

import msgspec


class Alert(msgspec.Struct):
    """The keys of a Falco alert."""

    hostname: str
    output: str
    output_fields: dict[str, Any]
    priority: str
    rule: str
    source: str
    tags: list[str]
    time: str


KEPT = {"Emergency", "Alert", "Critical", "Error", "Warning"}


def main(source: str, target: str) -> None:
    """Copy the alerts of at least warning."""
    decode = msgspec.json.Decoder(Alert).decode
    encode = msgspec.json.Encoder().encode
    with open(source, "rb") as lines, open(target, "ab") as out:
        for line in lines:
            alert = decode(line)
            if alert.priority in KEPT:
                out.write(encode(alert) + b"\n")


main(*sys.argv[1:])
