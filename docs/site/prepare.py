#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what Doxygen makes the reference of.

  prepare.py folder

The folder gets the declarations of the headers, a group of Doxygen for each topic and below it one for each header, the
examples, and the pages, with links and tables as Doxygen 1.9 understands them.
"""

import re
import shutil
import sys
from html import escape
from pathlib import Path

import headers
import words

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "patterns"
PAGES = {
    "README.md": "index", "docs/first_program.md": "first_program", "docs/which_attention.md": "which_attention",
    "docs/language.md": "language", "docs/your_own.md": "your_own", "docs/patterns.md": "patterns_shown",
    "docs/decoding.md": "decoding", "docs/gradients.md": "gradients", "docs/transformers.md": "transformers_built",
    "docs/recommenders.md": "recommenders_shown", "docs/pruning.md": "pruning_shown",
    "docs/sparse_coding.md": "sparse_coding_guide", "docs/retrieval.md": "retrieval_shown",
    "docs/encoders.md": "encoders", "docs/files.md": "files_read", "docs/performance.md": "performance",
    "docs/words.md": "words", "docs/architecture.md": "architecture", "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
}


def group(topic, header):
    return f"{topic.name}-{header.split('/')[-1].removesuffix('.hpp')}"


def file_of(group_):
    """The name that Doxygen gives the page of a group."""
    return f"group__{group_.replace('_', '__')}.html"


def example_file(name):
    """The name that Doxygen gives the page of an example."""
    return f"{name.replace('.', '_8')}-example.html"


def commented(lines, indent):
    """A comment whose fields, "Cost  O(m) per row", are paragraphs with a title."""
    for line in lines:
        field = headers.FIELD.fullmatch(line)
        for part in (f"@par {field[1]}", field[2]) if field else (line,):
            yield f"{indent}/// {part}".rstrip()


def head(d):
    """A declaration without its body."""
    if d.kind == "function":
        call = headers.call_of(d.text)
        end = headers.closing(d.text, call.end() - 1) + 1
        rest = re.match(r"( const)?( noexcept)?", d.text[end:])
        return d.text[:end] + rest[0] + ";"
    if d.kind == "type":
        return re.match(r"(enum )?\w+ \w+", d.text)[0]
    return d.text


def title(header, declared, aggregates):
    """The names of a page's words: the one that the header is named by, functions, and types with functions."""
    free = [d for d in declared if not d.owner and not (d.kind == "type" and words.maker(d, declared))]
    owners = {d.owner for d in declared if d.kind == "function"}
    first = [d for d in free if words.snake(d.name) == header.split("/")[-1].removesuffix(".hpp")]
    chosen = first + [d for d in free if d.kind == "function"] + [d for d in free if d.name in owners] or free
    names = [words.code(d, declared, aggregates) if d.name.startswith("operator") else d.name for d in chosen]
    names = list(dict.fromkeys(names))
    return ", ".join(names[:3] + ["..."] * (len(names) > 3))


def interface(topic, header, declared):
    """The declarations of a header that the reference shows, as a header."""
    lines = (headers.INCLUDE / header).read_text(encoding="utf-8").split("\n")
    name = group(topic, header)
    out = ["namespace filigree {", f"/** @addtogroup {name}", "@{ */"]

    def declare(d, indent=""):
        made = d.kind == "type" and words.maker(d, declared)
        comment = [f"The type of `{made.name}`."] if made and not words.has_comment(d) else d.comment
        if not comment and d.kind != "field":
            return
        out.extend(commented(comment, indent))
        if d.template:
            out.append(f"{indent}template <{d.template}>")
        if d.kind in ("concept", "value") or d.text.startswith("enum"):
            out.extend(line for line in lines[d.line : d.end] if not re.match("template|requires", line.strip()))
        elif d.kind == "type":
            out.append(head(d) + " {")
            out.append(" public:")
            for member in declared:
                if member.owner == d.name and (member.comment or member.kind == "field" and d.name.islower()):
                    declare(member, "  ")
            out.append("};")
        else:
            out.append(indent + head(d))

    made_last = sorted(declared, key=lambda d: d.kind == "type" and bool(words.maker(d, declared)))
    for d in made_last:
        if not d.owner:
            declare(d)
    out += ["/** @} */", "}"]
    return "\n".join(out) + "\n"


def cell(text):
    return text.strip().replace("\\|", "|")


def as_html(rows):
    """A table of Markdown as HTML: in Doxygen's own, code cannot hold a bar."""
    cells = [re.split(r"(?<!\\)\|", row.strip().strip("|")) for row in rows]
    first = "".join(f"<th>{cell(text)}</th>" for text in cells[0])
    out = ["", '<table class="markdownTable">', f'<tr class="markdownTableHead">{first}</tr>']
    for row in cells[2:]:
        out.append("<tr>" + "".join(f"<td>{cell(text)}</td>" for text in row) + "</tr>")
    return out + ["</table>", ""]


def link(match, page, groups):
    """A link between files as one between pages; what is not in the reference is text."""
    text, to = match[1], match[2]
    if to.startswith("http"):
        return match[0]
    path, _, part = to.partition("#")
    target = str(((ROOT / page).parent / path).resolve().relative_to(ROOT)) if path else page
    if not (ROOT / target).exists():
        sys.exit(f"{page}: dead link to {to}")
    if target.startswith("examples/") and target.endswith(".cpp"):
        return f'<a href="{example_file(Path(target).name)}">{text}</a>'
    if target in PAGES:
        return f"[{text}](@ref {PAGES[target]}{'-' + part if part else ''})"
    header = target.removeprefix("include/filigree/")
    if header not in groups:
        return text
    word = re.sub(r"`(.*)`", lambda code: f"<code>{escape(code[1], quote=False)}</code>", text)
    return f'<a href="{file_of(groups[header])}">{word}</a>'


def code_span(match):
    """Code with a quote as HTML: Doxygen takes ' for the end of code."""
    return f"<code>{escape(match[1], quote=False)}</code>" if "'" in match[1] else match[0]


def markdown(text, page, groups):
    """A page for Doxygen."""
    name, out, table, code = PAGES.get(page, ""), [], [], False
    for line in text.split("\n"):
        code ^= line.startswith("```")
        if not code:
            line = re.sub(r"\[((?:`[^`]*`|[^]`[])*)\]\(([^) ]+)\)", lambda match: link(match, page, groups), line)
            line = re.sub("`([^`]*)`", code_span, line)
            line = re.sub(r'src="[^"]*/([^"/]+)"', r'src="\1"', line)
            if heading := re.fullmatch(r"(#+) (.*)", line):
                anchor = re.sub(r"\W+", "-", heading[2].lower()).strip("-")
                if heading[1] == "#":
                    line += f" {{#{name}}}" if name != "index" else ""
                elif name == "index":  # sections of the first page are not to stand among the pages
                    line = f'<h2 id="{anchor}">{heading[2]}</h2>'
                else:
                    line += f" {{#{name}-{anchor}}}"
        if line.startswith("|") and not code:
            table.append(line)
            continue
        if table:
            out += as_html(table)
            table = []
        out.append(line)
    return "\n".join(out + (as_html(table) if table else []))


def topic_page(topic, parts, groups, aggregates):
    """The groups of a topic, with its table, and of its headers, with the pictures that there are."""
    table = words.table(parts, aggregates, lambda header: f"include/filigree/{header}")
    page = markdown("\n".join([topic.text, "", *table]), "README.md", groups)
    lines = [f"/** @defgroup {topic.name} {topic.title}", page, "*/"]
    for header, declared in parts:
        names = [name for name in dict.fromkeys(d.name for d in declared) if (PICTURES / f"{name}.png").exists()]
        pictures = [f'<img src="{name}.png" width="160" alt="{name}: a row for each query, a column for each key">'
                    for name in names]
        lines += [f"/** @defgroup {groups[header]} {title(header, declared, aggregates)}", f"@ingroup {topic.name}", "",
                  f"`#include <filigree/{header}>`", "", *pictures, "*/"]
    return lines


def main():
    to = Path(sys.argv[1])
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    library = words.library()
    groups = {header: group(topic, header) for topic, parts in library for header, _ in parts}
    aggregates = words.aggregates_of(library)
    lines = ["/** @namespace filigree", "All names of the library. */"]
    for topic, parts in library:
        lines += topic_page(topic, parts, groups, aggregates)
        for header, declared in parts:
            (to / f"{groups[header]}.hpp").write_text(interface(topic, header, declared), encoding="utf-8")
    lines += [f"/** @example {path.name} */" for path in sorted((ROOT / "examples").glob("*.cpp"))]
    (to / "topics.dox").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for page, name in PAGES.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        (to / f"{name}.md").write_text(markdown(text, page, groups), encoding="utf-8")


if __name__ == "__main__":
    main()
