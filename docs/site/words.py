#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of all words, built from the declarations of the headers and the first lines of their comments.

  words.py          writes docs/words.md
  words.py --check  fails if docs/words.md is not what it would write
"""

import fnmatch
import re
import sys
from pathlib import Path

import headers
import topics
from headers import split

PAGE = Path(__file__).resolve().parents[1] / "words.md"
INTRODUCTION = """\
# The words

Row i of the scores is a query at position p, column c a key at position j. There are n queries and m keys with d
features; x is an entry of a row, s a score, w a weight. Names are in the namespace `filigree`. `./dev words` writes
this page from the comments of the headers.
"""


def public(declarations):
    """Leaves out what explains an error of the compiler, and members that only engines call, with their own types."""
    types = {d.name for d in declarations if d.kind == "type"}
    for d in declarations:
        if d.kind == "function" and d.name in types and not (d.summary or d.owner):  # a deduction guide
            continue
        inside = d.owner and any(re.search(r"detail::|\*|\bGrid\b", kind) for kind, _, _ in d.parameters)
        must_speak = not d.owner and d.kind in ("function", "type") and not d.name.startswith("operator")
        if (d.summary or must_speak) and not inside and not d.summary.startswith("Does not compile"):
            yield d


def library():
    """Topic by topic, the headers with their public declarations: [(topic, [(header, [declaration])])]."""
    found = {topic.name: [] for topic in topics.TOPICS}
    for pattern in (pattern for topic in topics.TOPICS for pattern in topic.headers):
        if not fnmatch.filter(headers.paths(), pattern):
            sys.exit(f"docs/site/topics.py: no header is filigree/{pattern}")
    for header in headers.paths():
        declared = list(public(list(headers.declarations(header))))
        for d in declared:
            speaks = has_comment(d) or maker(d, declared) if d.kind == "type" else d.summary
            if not speaks and not d.owner:
                sys.exit(f"include/filigree/{header}:{d.line + 1}: {d.name} has no comment")
        if declared:
            topic, rank = topics.place(header) or sys.exit(f"docs/site/topics.py: filigree/{header} has no topic")
            found[topic.name].append((rank, header, declared))
    return [(topic, [part[1:] for part in sorted(found[topic.name], key=lambda part: part[:2])])
            for topic in topics.TOPICS]


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def has_comment(type_):
    """Whether the comment of a type says more than which function returns it."""
    return bool(type_.comment) and not re.fullmatch(r"What .* returns?\.", type_.summary)


def maker(type_, declared):
    """The function that a type belongs to, as Window belongs to window(r), or None: then it is a word by itself."""
    for d in declared:
        if d.kind == "function" and not d.owner:
            returned = re.search(rf"\b{type_.name}\b", d.text.split(f" {d.name}(")[0])
            if d.name == snake(type_.name) or returned and not has_comment(type_):
                return d
    return None


def argument(d, kind, name, default, aggregates):
    """A parameter as documents write it: a matrix with a capital, a pattern as P, few options in braces."""
    type_ = re.sub(r"const |[&.]", "", kind)
    concepts = {words[-1]: words[0] for words in (part.split() for part in split(d.template)) if len(words) == 2}
    options = aggregates.get(type_, [])
    if len(name) == 1 and type_ in concepts and name != "f" and "Vector" not in concepts[type_]:
        return name.upper()
    if concepts.get(type_, "").endswith("PatternStage"):
        return "P"
    if type_.endswith("_options") and 0 < len(options) <= 4:
        return "{" + ", ".join("." + field for field in options) + "}"
    if default == "{}":
        default = ""
    return (name or snake(type_)) + ("..." if kind.endswith("...") else "") + (f" = {default}" if default else "")


def code(d, declared, aggregates):
    """A declaration as a program writes it."""
    if d.kind != "function":
        fields = ", ".join("." + name for name in d.fields) if len(d.fields) <= 8 else "..."
        return f"{d.name}{{{fields}}}" if d.fields and d.name.islower() else d.name
    arguments = [argument(d, *parameter, aggregates) for parameter in d.parameters]
    taken = " ".join(kind for kind, _, _ in d.parameters)
    explicit = [part.split()[-1] for part in split(d.template)
                if "=" not in part and "..." not in part and not re.search(rf"\b{part.split()[-1]}\b", taken)]
    call = f"<{', '.join(explicit)}>" if explicit else ""
    call += f"({', '.join(arguments)})"
    sign = d.name.removeprefix("operator")
    before = ""
    if d.owner:
        type_ = next(other for other in declared if other.kind == "type" and other.name == d.owner)
        before = snake(d.owner) if has_comment(type_) else maker(type_, declared).name + "(...)"
    if sign == "()":
        return before + call
    if sign == "[]":
        return f"{before}[{', '.join(arguments)}]"
    if sign != d.name:
        return f" {sign} ".join(arguments) if len(arguments) == 2 else sign + arguments[0]
    return f"{before}.{d.name}{call}" if d.owner and d.name != d.owner else d.name + call


def rows(declared, aggregates):
    """(code, summary, formula) for each word of a header, members of what a function makes after the function."""
    found = {}
    types = {d.name: d for d in declared if d.kind == "type"}
    for d in sorted(declared, key=lambda d: d.owner in types and maker(types[d.owner], declared) is not None):
        expanded = d.name.endswith("_options") and len(d.fields) <= 4
        if d.kind not in ("field", "constant") and not (d.kind == "type" and (maker(d, declared) or expanded)):
            found.setdefault(code(d, declared, aggregates), (d.summary, d.formula))
    return [(word, *texts) for word, texts in found.items()]


def escaped(text):
    return re.sub(r"([|<>*_])", r"\\\1", text)


def prose(text):
    """A line of a comment as Markdown."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part.replace("|", "\\|") if part.startswith("`") else escaped(part) for part in parts)


def table(parts, aggregates, link):
    """The words of the headers of a topic, linked to link(header)."""
    words = [(header, *row) for header, declared in parts for row in rows(declared, aggregates)]
    formulas = any(formula for *_, formula in words)
    lines = ["| word | what it does |" + " formula |" * formulas, "|---|---|" + "---|" * formulas]
    for header, word, summary, formula in words:
        shown = word.replace("|", "\\|")
        lines.append(f"| [`{shown}`]({link(header)}) | {prose(summary)} |" + f" {escaped(formula)} |" * formulas)
    return lines


def aggregates_of(topics_):
    """The names of the fields of each type."""
    return {d.name: d.fields for _, parts in topics_ for _, declared in parts for d in declared if d.kind == "type"}


def page():
    words = library()
    lines = [INTRODUCTION]
    for topic, parts in words:
        lines += [f"## {topic.title}", "", topic.text, ""]
        lines += table(parts, aggregates_of(words), lambda header: f"../include/filigree/{header}") + [""]
    return "\n".join(lines)


def main():
    new = page()
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != new:
            sys.exit("docs/words.md is not what the headers say: ./dev words writes it anew")
    else:
        PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
