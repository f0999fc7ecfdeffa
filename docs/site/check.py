#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails if the reference has a dead link, a missing picture, code with \\|, or a page without a topic.

  check.py build/docs/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import prepare
import topics

# Pages that Doxygen makes besides ours.
OWN = {"modules.html", "topics.html", "examples.html", "namespacefiligree.html"}


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.pictures, self.classes, self.text = set(), [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img":
            self.pictures.append(given.get("src", ""))
        self.classes += (given.get("class") or "").split()

    def handle_data(self, data):
        self.text.append(data)


def problems(folder):
    pages = {path.name: Page(path) for path in sorted(folder.glob("*.html"))}
    guide = {f"{name}.html" for name in prepare.PAGES.values()}
    guide |= {prepare.example_file(path.name) for path in (prepare.ROOT / "examples").glob("*.cpp")}
    chapters = {prepare.file_of(topic.name) for topic in topics.TOPICS}
    for name in sorted((guide | chapters) - set(pages)):
        yield name, "is not there"
    for name, page in pages.items():
        for link in page.links:
            path, _, anchor = unquote(link).partition("#")
            if path.startswith(("http:", "https:", "javascript:", "mailto:")):
                continue
            target = pages.get(path or name)
            if not (folder / (path or name)).exists() or target and anchor and anchor not in target.anchors:
                yield name, f"dead link to {link}"
        for picture in page.pictures:
            if not (folder / unquote(picture)).is_file():
                yield name, f"missing picture {picture}"
        if any("\\|" in text for text in page.text):
            yield name, "shows \\|"
        if name not in guide | chapters | OWN and "ingroups" not in page.classes:
            yield name, "has no topic"
        if name in chapters and "memitem" in page.classes[: page.classes.index("markdownTable")]:
            yield name, "does not begin with its table of words"


def main():
    found = list(problems(Path(sys.argv[1])))
    for name, problem in found:
        print(f"{name}: {problem}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
