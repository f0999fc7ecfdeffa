#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes a screenshot of the page that the example features writes, in headless Chromium.

  features_page.py features.html

Fails unless the marked tokens can be seen. The screenshot is features.png, next to the page.
"""

import shutil
import struct
import sys
import tempfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = bytes.fromhex("ffd54f")  # the color of <mark> in features.cpp
LEAST = 2000  # pixels


def unfiltered(row, above, kind, step):
    """Returns a row of a PNG file before its filter."""
    for i in range(len(row)):
        left, up, corner = (row[i - step] if i >= step else 0), above[i], (above[i - step] if i >= step else 0)
        if kind == 4:
            estimate = left + up - corner
            nearest = min((left, up, corner), key=lambda value: abs(estimate - value))
        else:
            nearest = (0, left, up, (left + up) // 2)[kind]
        row[i] = (row[i] + nearest) & 255
    return row


def rows_of(path):
    """Yields the rows of a PNG file of 8-bit colors, and the bytes of each pixel."""
    data, at, packed = path.read_bytes(), 8, b""
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    step = {2: 3, 6: 4}[color]
    assert depth == 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        packed += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    pixels, above = zlib.decompress(packed), bytearray(width * step)
    for y in range(height):
        begin = y * (width * step + 1)
        above = unfiltered(bytearray(pixels[begin + 1 : begin + 1 + width * step]), above, pixels[begin], step)
        yield above, step


def main():
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        print("skipped: Chromium is not installed; ./dev docs --browser installs it")
        return
    page = Path(sys.argv[1]).resolve()
    if not page.exists():
        print(f"skipped: {page} does not exist; the example features writes it")
        return
    sys.path.insert(0, str(ROOT / "docs" / "site"))
    from browser import chromium

    picture = page.with_suffix(".png")
    with tempfile.TemporaryDirectory() as profile:
        chromium(profile, "--virtual-time-budget=5000", "--window-size=1000,1400", f"--screenshot={picture}",
                 page.as_uri())
    marked = sum(bytes(row[x : x + 3]) == MARK for row, step in rows_of(picture) for x in range(0, len(row), step))
    print(f"{marked} pixels of marked tokens, at least {LEAST} expected: {picture}")
    sys.exit(marked < LEAST)


if __name__ == "__main__":
    main()
