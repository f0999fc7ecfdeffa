#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Unpacks the vectors of the most frequent words from a package: unpack_words.py package.whl folder [count].

Reads two files of the package as data: an .npy file of vectors, and a Parquet file of the words in the same order, whose
first dictionary page holds the most frequent words. Writes words.txt and vectors.npy.
"""

import ast
import pathlib
import struct
import sys
import zipfile


def varint(data, at):
    """Returns a number in base 128, and the position after it."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 35:
            sys.exit("a number of the words has too many bytes")


def uncompressed(data):
    """Returns the content of a block of the format Snappy."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:  # a literal
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(data[at : at + extra], "little")
                at += extra
            out += data[at : at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:  # a copy of preceding bytes
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5 << 8) + data[at]
            at += 1
        else:
            length, extra = (tag >> 2) + 1, 2 if tag & 3 == 2 else 4
            offset = int.from_bytes(data[at : at + extra], "little")
            at += extra
        if not 0 < offset <= len(out):
            sys.exit("the words are damaged")
        for _ in range(length):
            out.append(out[-offset])
    if len(out) != size:
        sys.exit("the words are damaged")
    return bytes(out)


def first_words(data, count):
    """Returns the first words of the first dictionary page of a Parquet file."""
    if data[:4] != b"PAR1":
        sys.exit("the words are not a Parquet file")
    fields, at, field = {}, 4, 0
    while len(fields) < 3:  # the header in Thrift's compact protocol: type, size and compressed size as integers
        delta, kind = data[at] >> 4, data[at] & 15
        if kind != 5 or delta == 0:
            sys.exit("the words have an unknown page header")
        field += delta
        number, at = varint(data, at + 1)
        fields[field] = (number >> 1) ^ -(number & 1)
    if fields.get(1) != 2:
        sys.exit("the words do not begin with a dictionary page")
    while data[at] != 0 or data[at + 1] != 0:  # the nested header of the page ends, then the header
        at += 1
    page = uncompressed(data[at + 2 : at + 2 + fields[3]])
    words, at = [], 0
    while len(words) < count and at + 4 <= len(page):
        (length,) = struct.unpack_from("<I", page, at)
        words.append(page[at + 4 : at + 4 + length].decode("utf-8"))
        at += 4 + length
    if len(words) != count or len(set(words)) != count or any("\n" in word for word in words):
        sys.exit(f"the first page has {len(words)} words, {len(set(words))} different ones; need {count}")
    return words


def first_vectors(data, count):
    """Returns the first rows of a matrix of floats, as an .npy file."""
    if data[:8] != b"\x93NUMPY\x01\x00":
        sys.exit("the vectors are not an .npy file of version 1")
    (length,) = struct.unpack_from("<H", data, 8)
    header = ast.literal_eval(data[10 : 10 + length].decode("latin-1"))
    rows, cols = header["shape"]
    values = data[10 + length :]
    if header["descr"] != "<f4" or rows < count or len(values) != 4 * rows * cols:
        sys.exit("the vectors have an unknown type or size")
    if header["fortran_order"]:
        kept = b"".join(values[4 * rows * j : 4 * (rows * j + count)] for j in range(cols))
    else:
        kept = values[: 4 * count * cols]
    header["shape"] = (count, cols)
    text = repr(header).encode("latin-1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + kept


def main(archive, folder, count="40000"):
    with zipfile.ZipFile(archive) as package:

        def read(suffix):
            found = [entry for entry in package.infolist() if entry.filename.endswith(suffix)]
            if len(found) != 1 or found[0].file_size > 200_000_000:
                sys.exit(f"{archive}: needs one file *{suffix} of at most 200 MB")
            return package.read(found[0])  # checks the CRC

        words = first_words(read("/glove_6B_index.parquet"), int(count))
        vectors = first_vectors(read("/glove_6B_50d_emb.npy"), int(count))
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "words.txt").write_text("".join(word + "\n" for word in words), encoding="utf-8")
    (target / "vectors.npy").write_bytes(vectors)
    print(f"{target}: {len(words)} words")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
