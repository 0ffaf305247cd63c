"""The methods that a client can call: alerts, version, and on request health and reflection.

The messages of health and reflection are a string or two: written by hand, so that they cannot collide in protobuf's
pool with the packages that an application may use for them. Reflection describes every service that it lists.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from rxalerts._version import __version__
from rxalerts.sinks._grpc_call import EXHAUSTED, NOT_FOUND, Call, Handler, Status, framed
from rxalerts.sinks._grpc_fanout import Fanout
from rxalerts.wire.proto import outputs_pb2, schema_pb2, version_pb2

OUTPUTS = "falco.outputs.service"
VERSION = "falco.version.service"
_HEALTH = "grpc.health.v1.Health"
_REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

_SERVING, _UNKNOWN = 1, 3


def handlers(fanout: Fanout, *, limit: int, health: bool, reflection: bool) -> dict[str, Handler]:
    """Return what answers each path."""

    async def sub(call: Call) -> None:
        # Clients of Falco ask again and again; here nobody has to.
        call.ignore_requests()
        if len(fanout.queues) >= limit:
            raise Status(EXHAUSTED, f"there are {limit} subscribers already (max_clients)")
        await fanout.serve(call)

    async def get(call: Call) -> None:
        call.ignore_requests()
        await fanout.fetch(call)

    found: dict[str, Handler] = {f"/{OUTPUTS}/sub": sub, f"/{OUTPUTS}/get": get, f"/{VERSION}/version": _version}
    services = [OUTPUTS, VERSION]
    if health:
        services.append(_HEALTH)
        found[f"/{_HEALTH}/Check"] = _check(services)
        found[f"/{_HEALTH}/Watch"] = _watch(services)
    if reflection:
        for name in _REFLECTION:
            found[f"/{name}/ServerReflectionInfo"] = _reflect(services)
    return found


async def _version(call: Call) -> None:
    await call.request()
    major, minor, patch = (int(number) for number in (*re.findall(r"\d+", __version__), "0", "0")[:3])
    answer = version_pb2.response(version=__version__, major=major, minor=minor, patch=patch, build="rxalerts")
    await call.send(framed(answer.SerializeToString()))


# -- health (grpc.health.v1) ----------------------------------------------------------------------------------


def _check(services: list[str]) -> Handler:
    async def check(call: Call) -> None:
        if _asked(await call.request()) not in ("", *services):
            raise Status(NOT_FOUND, "unknown service")
        await call.send(framed(bytes((8, _SERVING))))

    return check


def _watch(services: list[str]) -> Handler:
    async def watch(call: Call) -> None:
        known = _asked(await call.request()) in ("", *services)
        call.ignore_requests()
        await call.send(framed(bytes((8, _SERVING if known else _UNKNOWN))))
        # Nothing changes until the service ends, and then the call does.
        await asyncio.Event().wait()

    return watch


def _asked(request: bytes | None) -> str:
    """Return the service that a health request names."""
    return dict(_texts(request or b"")).get(1, "")


# -- reflection (grpc.reflection.v1 and v1alpha, which are the same) -------------------------------------------


def _reflect(services: list[str]) -> Handler:
    async def reflect(call: Call) -> None:
        while (request := await call.request()) is not None:
            answer = _field(2, request) + _answer(dict(_texts(request)), services)
            await call.send(framed(answer))

    return reflect


def _answer(asked: dict[int, str], services: list[str]) -> bytes:
    """Return the part of the answer that depends on the question."""
    if 7 in asked:
        return _field(6, b"".join(_field(1, _field(1, name.encode())) for name in services))
    file = _FILES.get(asked[3]) if 3 in asked else _file_with(asked.get(4, ""))
    if file is None:
        return _field(7, b"\x08" + bytes((NOT_FOUND,)) + _field(2, b"not found"))
    return _field(4, b"".join(_field(1, one.SerializeToString()) for one in _with_imports(file)))


def _health_file() -> FileDescriptorProto:
    """Return what grpc/health/v1/health.proto says."""
    file = FileDescriptorProto(name="grpc/health/v1/health.proto", package="grpc.health.v1", syntax="proto3")
    once, enum = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.TYPE_ENUM
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, label=once, type=FieldDescriptorProto.TYPE_STRING)
    response = file.message_type.add(name="HealthCheckResponse")
    status = response.enum_type.add(name="ServingStatus")
    for number, name in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        status.value.add(name=name, number=number)
    kind = ".grpc.health.v1.HealthCheckResponse"
    response.field.add(name="status", number=1, label=once, type=enum, type_name=f"{kind}.ServingStatus")
    service = file.service.add(name="Health")
    for name, streams in (("Check", False), ("Watch", True)):
        method = service.method.add(name=name, output_type=kind, server_streaming=streams)
        method.input_type = ".grpc.health.v1.HealthCheckRequest"
    return file


def _known_files() -> dict[str, FileDescriptorProto]:
    files = [_health_file()]
    for module in (outputs_pb2, schema_pb2, version_pb2, timestamp_pb2):
        files.append(FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb))
    return {file.name: file for file in files}


_FILES = _known_files()


def _file_with(symbol: str) -> FileDescriptorProto | None:
    for file in _FILES.values():
        names = [one.name for one in file.service] + [one.name for one in file.message_type]
        for name in names + [one.name for one in file.enum_type]:
            full = f"{file.package}.{name}"
            if symbol == full or symbol.startswith(f"{full}."):
                return file
    return None


def _with_imports(file: FileDescriptorProto) -> Iterator[FileDescriptorProto]:
    yield file
    for name in file.dependency:
        yield from _with_imports(_FILES[name])


# -- protobuf by hand -----------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    """Return a field of type string, bytes or message."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _texts(message: bytes) -> Iterator[tuple[int, str]]:
    """Yield number and text of every string field up to the first field of another type."""
    place = 0

    def varint() -> int:
        nonlocal place
        number = shift = 0
        while place < len(message):
            byte = message[place]
            place += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        return number

    while place < len(message):
        key = varint()
        if key & 7 != 2:
            return
        size = varint()
        yield key >> 3, message[place : place + size].decode("utf-8", "replace")
        place += size
