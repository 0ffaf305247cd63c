"""Falco's gRPC messages, made from the field numbers alone: what a client of Falco knows, and nothing of ours.

A pool of its own, so that they can stand beside the generated modules of rxalerts in one process.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

_F = descriptor_pb2.FieldDescriptorProto
_FIELDS = {
    # number: (name, type, type name, repeated)
    1: ("time", _F.TYPE_MESSAGE, ".google.protobuf.Timestamp", False),
    2: ("priority", _F.TYPE_INT32, "", False),
    3: ("source_deprecated", _F.TYPE_INT32, "", False),
    4: ("rule", _F.TYPE_STRING, "", False),
    5: ("output", _F.TYPE_STRING, "", False),
    6: ("output_fields", _F.TYPE_MESSAGE, ".falco.outputs.response.OutputFieldsEntry", True),
    7: ("hostname", _F.TYPE_STRING, "", False),
    8: ("tags", _F.TYPE_STRING, "", True),
    9: ("source", _F.TYPE_STRING, "", False),
}


def _outputs() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="falco_outputs", package="falco.outputs", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message = file.message_type.add(name="response")
    for number, (name, kind, type_name, repeated) in _FIELDS.items():
        label = _F.LABEL_REPEATED if repeated else _F.LABEL_OPTIONAL
        message.field.add(name=name, number=number, type=kind, type_name=type_name or None, label=label)
    entry = message.nested_type.add(name="OutputFieldsEntry")
    entry.options.map_entry = True
    for number, name in ((1, "key"), (2, "value")):
        entry.field.add(name=name, number=number, type=_F.TYPE_STRING, label=_F.LABEL_OPTIONAL)
    return file


def _version() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="falco_version", package="falco.version", syntax="proto3")
    message = file.message_type.add(name="response")
    for number, name in ((1, "version"), (5, "prerelease"), (6, "build")):
        message.field.add(name=name, number=number, type=_F.TYPE_STRING, label=_F.LABEL_OPTIONAL)
    for number, name in ((2, "major"), (3, "minor"), (4, "patch")):
        message.field.add(name=name, number=number, type=_F.TYPE_UINT32, label=_F.LABEL_OPTIONAL)
    return file


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    for file in (_outputs(), _version()):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_made = _pool()
Response: Any = message_factory.GetMessageClass(_made.FindMessageTypeByName("falco.outputs.response"))
Version: Any = message_factory.GetMessageClass(_made.FindMessageTypeByName("falco.version.response"))


def as_dict(message: Any) -> dict[str, Any]:
    """Return a response as plain values; the time in nanoseconds."""
    return {
        "time_ns": message.time.seconds * 1_000_000_000 + message.time.nanos,
        "priority": message.priority,
        "source_deprecated": message.source_deprecated,
        "rule": message.rule,
        "output": message.output,
        "output_fields": dict(message.output_fields),
        "hostname": message.hostname,
        "tags": list(message.tags),
        "source": message.source,
    }
