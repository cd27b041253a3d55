"""Ways in which files break or are made to break: each takes bytes and a random generator, and gives bytes."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

__all__ = ["break_bytes", "break_folder"]

EXTREMES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
NUMBERS = (
    b"0",
    b"-1",
    b"1e308",
    b"nan",
    b"inf",
    b"99999999999",
    b"18446744073709551616",
    b"9" * 400,
    b"1.5",
    b"",
)
WORDS = (
    b"../../../../etc/passwd",
    b"<script>alert(1)</script>",
    b"[" * 3000,
    b"{" * 3000,
    b"%s%n",
    b"\x00",
    b"\xff\xfe",
    b"\x1b[2J",
    b"&a;" * 50,
    b"!!python/object/apply:os.system [id]",
    b"*anchor",
    b"- " * 500,
    b"=1+1",
    b"NaN",
    b"null",
)


def break_bytes(content: bytes, random: Random) -> bytes:
    """Apply one to three ways of breaking a file."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = random.choice(WAYS)(content, random)
    return content


def break_folder(folder: Path, random: Random) -> str:
    """Break one file of a folder, or its place in it; says which."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    metadata = [
        file
        for file in files
        if file.suffix in {".json", ".xml", ".mat", ".npy"} or file.name.startswith(".z")
    ]
    file = random.choice(metadata if metadata and random.random() < 0.6 else files)
    fate = random.random()
    if len(files) > 1 and fate < 0.05:
        file.unlink()
        return f"{file.name} deleted"
    if fate < 0.08:
        file.unlink()
        file.mkdir()
        return f"{file.name} became a folder"
    if len(files) > 1 and fate < 0.12:
        other = random.choice(files)
        if other != file:
            shutil.copyfile(other, file)
        return f"{file.name} replaced by {other.name}"
    file.write_bytes(break_bytes(file.read_bytes(), random))
    return file.name


def _place(content: bytes, random: Random) -> int:
    """Anywhere, more often near the beginning or the end, where headers and directories are."""
    reach = random.choice((64, 512, len(content), len(content)))
    place = random.randrange(max(1, min(reach, len(content))))
    return place if random.random() < 0.75 else max(0, len(content) - 1 - place)


def _cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _cut_a_little(content: bytes, random: Random) -> bytes:
    return content[: max(0, len(content) - random.randrange(1, 64))]


def _drop_beginning(content: bytes, random: Random) -> bytes:
    return content[random.randrange(1, 32) :]


def _flip_bit(content: bytes, random: Random) -> bytes:
    return (
        _set(content, place := _place(content, random), bytes([content[place] ^ 1 << random.randrange(8)]))
        if content
        else b""
    )


def _set_bytes(content: bytes, random: Random) -> bytes:
    return _set(
        content,
        _place(content, random),
        random.choice((b"\0", b"\xff", b"\x7f", b"\x80", random.randbytes(1))),
    )


def _set_integer(content: bytes, random: Random) -> bytes:
    width, order = random.choice((1, 2, 4, 8)), random.choice(("little", "big"))
    value = random.choice(EXTREMES) % 2 ** (8 * width)
    return _set(content, _place(content, random), value.to_bytes(width, order))


def _fill(content: bytes, random: Random) -> bytes:
    return _set(content, _place(content, random), random.choice((b"\0", b"\xff")) * random.randrange(1, 200))


def _noise(content: bytes, random: Random) -> bytes:
    return _set(content, _place(content, random), random.randbytes(random.randrange(1, 40)))


def _repeat(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    part = content[place : place + random.randrange(1, 200)]
    return content[:place] + part * random.randrange(2, 6) + content[place:]


def _remove(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    return content[:place] + content[place + random.randrange(1, 64) :]


def _swap(content: bytes, random: Random) -> bytes:
    first, second = sorted((_place(content, random), _place(content, random)))
    length = min(random.randrange(1, 64), second - first)
    one, other = content[first : first + length], content[second : second + length]
    return _set(_set(content, first, other), second, one[: len(other)])


def _set_number(content: bytes, random: Random) -> bytes:
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", content))
    if not found:
        return _set_integer(content, random)
    match = random.choice(found)
    return content[: match.start()] + random.choice(NUMBERS) + content[match.end() :]


def _insert_word(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    return content[:place] + random.choice(WORDS) + content[place:]


def _replace_word(content: bytes, random: Random) -> bytes:
    found = list(re.finditer(rb"[A-Za-z_]{2,}", content))
    if not found:
        return _noise(content, random)
    match = random.choice(found)
    return content[: match.start()] + random.choice(WORDS) + content[match.end() :]


def _empty(content: bytes, random: Random) -> bytes:  # noqa: ARG001
    return b""


def _set(content: bytes, place: int, values: bytes) -> bytes:
    """Overwrite, without making the file longer."""
    return (content[:place] + values + content[place + len(values) :])[: len(content)]


WAYS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _cut, _cut, _cut, _cut_a_little, _drop_beginning, _flip_bit, _flip_bit, _set_bytes, _set_bytes, _set_integer, _set_integer,
    _set_integer, _set_integer, _fill, _noise, _repeat, _remove, _swap, _set_number, _set_number, _set_number, _insert_word,
    _insert_word, _replace_word, _replace_word, _empty,
)  # fmt: skip
