"""Tells in which encoding a YAML file is, of those that yaml-cpp reads."""

# The longer ones first.
_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_ZEROS = {
    b"\0\1\1\1": "utf-32-le",
    b"\1\1\1\0": "utf-32-be",
    b"\0\1": "utf-16-le",
    b"\1\0": "utf-16-be",
}


def encoding_of(data: bytes) -> str:
    """Tell the encoding by the byte order mark or, as yaml-cpp does, by where the first character has zeros.

    >>> encoding_of("a: 1".encode("utf-16-le")), encoding_of(b"a: 1")
    ('utf-16-le', 'utf-8-sig')
    """
    for marks, encoding in _MARKS.items():
        if data.startswith(marks):
            return encoding
    zeros = bytes(not byte for byte in data[:4])
    return next((encoding for shape, encoding in _ZEROS.items() if zeros.startswith(shape)), "utf-8-sig")
