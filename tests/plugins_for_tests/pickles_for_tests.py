"""Instructions of pickles, to make checkpoints by hand."""

import struct


def text(value: str) -> bytes:
    """The instruction that gives a text."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def view(
    key: str, start: int, shape: bytes, strides: bytes, count: bytes = b"K\x04", kind: str = "FloatStorage"
) -> bytes:
    """The instructions that give a tensor of the record `key`."""
    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu") + count + b"tQ"
    head = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"J" + struct.pack("<i", start)
    return head + shape + strides + b"\x89ccollections\nOrderedDict\n)RtR"
