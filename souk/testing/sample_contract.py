"""A contract with a field of every kind, made without protoc, for tests of code that reads contracts."""

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "a_double": _Field.TYPE_DOUBLE,
    "a_float": _Field.TYPE_FLOAT,
    "an_int64": _Field.TYPE_INT64,
    "an_uint64": _Field.TYPE_UINT64,
    "an_int32": _Field.TYPE_INT32,
    "a_fixed64": _Field.TYPE_FIXED64,
    "a_fixed32": _Field.TYPE_FIXED32,
    "a_bool": _Field.TYPE_BOOL,
    "a_string": _Field.TYPE_STRING,
    "some_bytes": _Field.TYPE_BYTES,
    "an_uint32": _Field.TYPE_UINT32,
    "a_sfixed32": _Field.TYPE_SFIXED32,
    "a_sfixed64": _Field.TYPE_SFIXED64,
    "a_sint32": _Field.TYPE_SINT32,
    "a_sint64": _Field.TYPE_SINT64,
}
_MESSAGES = {
    "a_time": ".google.protobuf.Timestamp",
    "a_duration": ".google.protobuf.Duration",
    "a_struct": ".google.protobuf.Struct",
    "a_value": ".google.protobuf.Value",
    "a_list": ".google.protobuf.ListValue",
    "a_wrapper": ".google.protobuf.Int64Value",
    "a_child": ".sample.Child",
}


def _optional(message: descriptor_pb2.DescriptorProto, name: str, kind: "_Field.Type.ValueType") -> None:
    message.oneof_decl.add(name=f"_{name}")
    message.field.add(
        name=name,
        number=len(message.field) + 1,
        type=kind,
        label=_Field.LABEL_OPTIONAL,
        proto3_optional=True,
        oneof_index=len(message.oneof_decl) - 1,
    )


def _map(message: descriptor_pb2.DescriptorProto, name: str, entry: str, key: int, value: int, of: str = "") -> None:
    nested = message.nested_type.add(name=entry)
    nested.options.map_entry = True
    nested.field.add(name="key", number=1, type=key, label=_Field.LABEL_OPTIONAL)
    nested.field.add(name="value", number=2, type=value, label=_Field.LABEL_OPTIONAL, type_name=of or None)
    _add(message, name, _Field.TYPE_MESSAGE, f".sample.{message.name}.{entry}", repeated=True)


def _add(
    message: descriptor_pb2.DescriptorProto, name: str, kind: int, of: str = "", *, repeated: bool = False
) -> "_Field":
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    return message.field.add(name=name, number=len(message.field) + 1, type=kind, type_name=of or None, label=label)


def _every_kind(file: descriptor_pb2.FileDescriptorProto) -> None:
    message = file.message_type.add(name="Everything")
    message.oneof_decl.add(name="choice")
    for name, of in _MESSAGES.items():
        _add(message, name, _Field.TYPE_MESSAGE, of)
    _add(message, "left", _Field.TYPE_STRING).oneof_index = 0
    _add(message, "right", _Field.TYPE_INT64).oneof_index = 0
    for name, kind in _SCALARS.items():
        _optional(message, name, kind)
    for name in ("an_int64", "a_string"):
        _add(message, f"many_{name}", _SCALARS[name], repeated=True)
    _add(message, "children", _Field.TYPE_MESSAGE, ".sample.Child", repeated=True)
    _add(message, "colour", _Field.TYPE_ENUM, ".sample.Colour", repeated=True)
    _map(message, "counts", "CountsEntry", _Field.TYPE_STRING, _Field.TYPE_INT64)
    _map(message, "by_number", "ByNumberEntry", _Field.TYPE_INT32, _Field.TYPE_MESSAGE, ".sample.Child")
    _map(message, "flags", "FlagsEntry", _Field.TYPE_BOOL, _Field.TYPE_STRING)


def _file() -> descriptor_pb2.FileDescriptorProto:
    kinds = (timestamp_pb2, duration_pb2, struct_pb2, wrappers_pb2)
    file = descriptor_pb2.FileDescriptorProto(name="sample.proto", package="sample", syntax="proto3")
    file.dependency.extend(module.DESCRIPTOR.name for module in kinds)
    colour = file.enum_type.add(name="Colour")
    for number, name in enumerate(("COLOUR_UNSPECIFIED", "COLOUR_RED", "COLOUR_DARK_BLUE")):
        colour.value.add(name=name, number=number)
    child = file.message_type.add(name="Child")
    _add(child, "child_name", _Field.TYPE_STRING)
    _add(child, "age", _Field.TYPE_INT32)
    _add(child, "colour", _Field.TYPE_ENUM, ".sample.Colour")
    _add(child, "next_child", _Field.TYPE_MESSAGE, ".sample.Child")
    _every_kind(file)
    return file


def sample_messages() -> tuple[type[Message], type[Message]]:
    """Makes `Everything`, with a field of every kind, and `Child`, with required fields and a child of its own."""
    everything, child = (_pool().FindMessageTypeByName(f"sample.{name}") for name in ("Everything", "Child"))
    return GetMessageClass(everything), GetMessageClass(child)


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(_file().SerializeToString())
    return pool
