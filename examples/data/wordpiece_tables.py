#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes ../wordpiece_tables.hpp: what the tokenizer of BERT does with each character.

The script asks the package tokenizers for every code point, so that examples/wordpiece.hpp gives the same tokens.
    pip install tokenizers==0.23.3
    examples/data/wordpiece_tables.py
"""

import pathlib

import tokenizers
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

HANGUL = range(0xAC00, 0xD7A4)


def ranges(codes):
    """Returns code points as pairs of the first and the last one of a range."""
    pairs = []
    for code in sorted(codes):
        if pairs and pairs[-1][1] == code - 1:
            pairs[-1][1] = code
        else:
            pairs.append([code, code])
    return pairs


def runs(pairs):
    """Returns pairs of a code point and its replacement as runs of equal steps 1 or 2: (first, last, step, to)."""
    result = []
    for code, to in sorted(pairs.items()):
        if result:
            first, last, step, start = result[-1]
            gap = code - last
            if gap in ((1, 2) if first == last else (step,)) and to - start == code - first:
                result[-1] = (first, code, gap, start)
                continue
        result.append((code, code, 1, to))
    return result


def lines(numbers):
    text, line = "", "   "
    for number in numbers:
        word = f" {number:#x}," if number > 9 else f" {number},"
        if len(line) + len(word) > 120:
            text, line = text + line + "\n", "   "
        line += word
    return text + line + "\n"


def table(comment, name, kind, rows):
    flat = [number for row in rows for number in row]
    return f"/// {comment}\ninline constexpr {kind} {name}[] = {{\n{lines(flat)}}};\n"


def main():
    normalizer = BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True)
    splitter = BertPreTokenizer()
    removed, spaces, ideographs, punctuation, single, several = [], [], [], [], {}, {}
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or code in HANGUL:
            continue
        # Without neighbors a combining mark would be the first character.
        text = normalizer.normalize_str("a" + chr(code) + "b")[1:-1]
        if text == " ":
            spaces.append(code)
        elif text.startswith(" "):
            ideographs.append(code)
            text = text.strip(" ")
        if text == "":
            removed.append(code)
        elif text not in (" ", chr(code)):
            if len(text) == 1:
                single[code] = ord(text)
            else:
                several[code] = [*map(ord, text)]
        if [word for word, _ in splitter.pre_tokenize_str("a" + chr(code) + "b")] == ["a", chr(code), "b"]:
            punctuation.append(code)
    assert all(len(text) <= 3 for text in several.values())
    longest = [[code, *text, *[0] * (3 - len(text))] for code, text in several.items()]
    text = "// SPDX-License-Identifier: MIT\n"
    text += "// Written by data/wordpiece_tables.py from the package tokenizers " + tokenizers.__version__ + ".\n"
    text += "#pragma once\n\n#include <cstdint>\n\nnamespace wordpiece {\n\n// clang-format off\n"
    number = "std::uint32_t"
    text += table("Characters that are removed: control characters, and the marks of accents. Pairs first, last.",
                  "removed", number, ranges(removed))
    text += table("White space. Pairs first, last.", "spaces", number, ranges(spaces))
    text += table("Chinese characters, each a word. Pairs first, last.", "ideographs", number, ranges(ideographs))
    text += table("Punctuation, each character a word. Pairs first, last.", "punctuation", number, ranges(punctuation))
    text += table("Characters replaced by one: lower case, without accents. Rows first, last, step, replacement of the "
                  "first.", "replaced", number, runs(single))
    text += table("Characters replaced by two or three. Rows character, replacement; 0: none.", "expanded", number,
                  longest)
    text += "// clang-format on\n\n}  // namespace wordpiece\n"
    (pathlib.Path(__file__).parent / "../wordpiece_tables.hpp").write_text(text)


if __name__ == "__main__":
    main()
