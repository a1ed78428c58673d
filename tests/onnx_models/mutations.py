"""Damaged and hostile models: random changes of bytes, and of the fields of a parsed model."""

from __future__ import annotations

from random import Random
from typing import Any, cast

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message

INTEGERS = (0, -1, 1, 2, 3, 7, -7, 16, 255, 65536, 1 << 31, (1 << 31) - 1, 1 << 40, (1 << 63) - 1, -(1 << 63))
PATHS = (
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "link/passwd",
    "../outside.bin",
    "inside.bin",
    "a\0b",
    "x" * 5000,
)
WORDS = (
    "",
    "x",
    "x" * 3000,
    "\u202e\n\x1b[31m",
    "ai.onnx",
    "Loop",
    "Conv",
    "Constant",
    "Shape",
    "Reshape",
    "SAME_UPPER",
)
_WHOLE = {
    getattr(FieldDescriptor, f"TYPE_{kind}")
    for kind in ("INT32", "INT64", "UINT32", "UINT64", "ENUM", "BOOL", "SINT64")
}
_REAL = {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE}


def mutated(data: bytes, random: Random) -> bytes:
    """A model's bytes with one to four changes, of one kind or the other."""
    if random.random() < 0.25:
        return damaged(data, random)
    proto = onnx.ModelProto.FromString(data)
    for _ in range(random.randint(1, 4)):
        change_field(proto, random)
    try:
        return proto.SerializeToString()
    except EncodeError:
        return data


def damaged(data: bytes, random: Random) -> bytes:
    """Bytes changed, cut off, put in, or repeated."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        if not changed:
            break
        place = random.randrange(len(changed))
        match random.randrange(4):
            case 0:
                changed[place] ^= 1 << random.randrange(8)
            case 1:
                del changed[place : place + random.choice((1, 4, len(changed)))]
            case 2:
                changed[place:place] = random.randbytes(random.randint(1, 8))
            case _:
                changed[place:place] = changed[place : place + random.randint(1, 200)]
    return bytes(changed)


def change_field(proto: onnx.ModelProto, random: Random) -> None:
    """Change one field somewhere in a model, each message with the same chance."""
    messages = _messages(proto)
    message = random.choice(messages)
    if isinstance(message, onnx.TensorProto) and random.random() < 0.2:
        _make_external(message, random)
        return
    fields = [d for d, _ in message.ListFields()] if random.random() < 0.8 else list(message.DESCRIPTOR.fields)
    if not fields:
        return
    field = cast(FieldDescriptor, random.choice(fields))
    name = field.name
    value: Any = getattr(message, name)
    try:
        if field.is_repeated:
            _change_list(value, field, messages, random)
        elif field.message_type is not None:
            if random.random() < 0.3:
                message.ClearField(name)
            else:
                _replace(value, messages, random)
        else:
            setattr(message, name, _scalar(value, field, messages, random))
    except (ValueError, TypeError, DecodeError):  # an enum without this value, text that is no UTF-8
        return


def _messages(proto: Message) -> list[Message]:
    """A message and all those in it."""
    found: list[Message] = []
    waiting = [proto]
    while waiting:
        message = waiting.pop()
        found.append(message)
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend(value if field.is_repeated else [value])
    return found


def _change_list(values: Any, field: FieldDescriptor, messages: list[Message], random: Random) -> None:
    place = random.randrange(len(values)) if len(values) else 0
    change = random.randrange(5)
    if not len(values) or change == 0:
        if field.message_type is None:
            values.append(_scalar(_zero(field), field, messages, random))
        else:
            _replace(values.add(), messages, random)
    elif change == 1:
        del values[place]
    elif change == 2:  # order
        other = random.randrange(len(values))
        if field.message_type is None:
            values[place], values[other] = values[other], values[place]
        else:
            first, second = type(values[place])(), type(values[place])()
            first.CopyFrom(values[place])
            second.CopyFrom(values[other])
            values[place].CopyFrom(second)
            values[other].CopyFrom(first)
    elif change == 3:  # twice
        if field.message_type is None:
            values.append(values[place])
        else:
            values.add().CopyFrom(values[place])
    elif field.message_type is None:
        values[place] = _scalar(values[place], field, messages, random)
    else:
        _replace(values[place], messages, random)


def _replace(value: Message, messages: list[Message], random: Random) -> None:
    """Put another message of the same kind in the place of one."""
    others = [m for m in messages if m.DESCRIPTOR is value.DESCRIPTOR and m is not value]
    if others:
        copy = type(value)()
        copy.CopyFrom(random.choice(others))
        if copy.ByteSize() < 100_000:
            value.CopyFrom(copy)


def _zero(field: FieldDescriptor) -> Any:
    if field.type in _REAL:
        return 0.0
    return 0 if field.type in _WHOLE else b"" if field.type == FieldDescriptor.TYPE_BYTES else ""


def _scalar(value: Any, field: FieldDescriptor, messages: list[Message], random: Random) -> Any:
    """Another value for a field: an extreme one, or one that stands elsewhere in the model."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        return not value
    if field.type in _WHOLE:
        small = field.type in (FieldDescriptor.TYPE_ENUM, FieldDescriptor.TYPE_INT32)
        near = int(value) + random.choice((-1, 1))
        return random.choice((near, random.randint(0, 27))) if small else random.choice((*INTEGERS, near))
    if field.type in _REAL:
        return random.choice((0.0, -1.0, 1e30, 1e-40, float("inf"), float("nan")))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return damaged(cast(bytes, value), random)
    names = [text for m in messages if isinstance(m, onnx.NodeProto) for text in (*m.input, *m.output, m.op_type)]
    return random.choice((*WORDS, *PATHS, *names))


def _make_external(tensor: onnx.TensorProto, random: Random) -> None:
    """Let a tensor take its data from a file."""
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=random.choice(PATHS))
    if random.random() < 0.5:
        number = random.choice((*INTEGERS, "many", "", "0x10", "-0"))
        tensor.external_data.add(key=random.choice(("offset", "length", "checksum")), value=str(number))
