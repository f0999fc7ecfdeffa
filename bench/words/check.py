#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that bench/words measures every word of docs/words.md, and that it measures no word that is not there.

Types, members of results and operators are no words of their own. bench/words/unmeasured.txt lists words that do no
work worth measuring, with the reason.
"""
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).parent
TOPICS = ("Sources", "Patterns", "Routers", "Score maps", "Selectors", "Normalizers", "Results", "Layers",
          "Transformers", "Sparse coding", "Losses", "Training", "Pruning", "Recommenders", "Measures", "Sparse retrieval")


def documented():
    """All words of the page, and those that must be measured."""
    every, needed, topic = set(), set(), ""
    for line in (FOLDER / "../../docs/words.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            topic = line[3:]
        found = re.match(r"\| \[`(.*?)`\]\(", line)
        if not found:
            continue
        word = found[1].replace("\\|", "|")
        every.add(word)
        if topic in TOPICS and re.match(r"[a-z_0-9]+[({]", word):
            needed.add(word)
    return every, needed


def measured():
    texts = "".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.cpp")))
    return set(re.findall(r'"((?:[^"\\\n]|\\.)*)"', texts))


def main():
    every, needed = documented()
    strings = measured()
    reasons = [line for line in (FOLDER / "unmeasured.txt").read_text(encoding="utf-8").splitlines()
               if line and not line.startswith("#")]
    excused = set(reasons)
    wrong = [f"{word}: add a row to bench/words, or the reason to unmeasured.txt"
             for word in sorted(needed - strings - excused)]
    wrong += [f"unmeasured.txt: {word} is not a word of docs/words.md" for word in sorted(excused - every)]
    wrong += [f"unmeasured.txt: {word} is measured" for word in sorted(excused & strings & needed)]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
