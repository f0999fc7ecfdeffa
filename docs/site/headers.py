# SPDX-License-Identifier: MIT
"""Reads the public declarations of the headers and their comments. It relies on the format of clang-format."""

import re
from dataclasses import dataclass, field
from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[2] / "include" / "filigree"
FIELDS = ("Formula", "Shapes", "Cost", "Edge case", "Aliasing", "Throws", "Reference")
FIELD = re.compile(rf"({'|'.join(FIELDS)}) +(.*)")


@dataclass
class Declaration:
    header: str            # pattern/window.hpp
    line: int              # number of its first line, from 0
    kind: str              # function, type, concept, alias, value; of a type's also field, constant
    name: str              # window, Window, operator*
    owner: str             # the type of a member, or ""
    text: str              # without template <...> and requires
    template: str          # class F, Real S
    comment: list          # its lines, without ///
    parameters: list = field(default_factory=list)   # (type, name, default) of a function
    fields: list = field(default_factory=list)       # names of the public fields of a type
    end: int = 0           # number of the line after it; of a type with members, after its head

    @property
    def summary(self):
        """The first paragraph of the comment, up to the end of its first sentence."""
        lines = []
        for line in self.comment:
            if not line or FIELD.fullmatch(line):
                break
            lines.append(line)
        return re.split(r"(?<=[^.]\.) (?=[A-Z`(])", " ".join(lines), maxsplit=1)[0]

    @property
    def formula(self):
        lines = []
        for line in self.comment:
            start = FIELD.fullmatch(line)
            if start and lines or lines and not line.startswith("  "):
                break
            if start and start[1] == "Formula":
                lines.append(start[2])
            elif lines:
                lines.append(line.strip())
        return " ".join(lines)


def paths():
    """All headers, as filigree/... names them."""
    return sorted(str(path.relative_to(INCLUDE)) for path in INCLUDE.rglob("*.hpp"))


def closing(text, at, pair="()"):
    """The position of the bracket that closes the one at text[at]."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == pair[0]) - (text[i] == pair[1] and text[i - 1] != "-")
        if depth == 0:
            return i
    raise ValueError(f"no closing {pair[1]} in {text}")


def split(text):
    """Splits a list at its commas, except those within brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "(<{[") - (c in ")>}]")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts if part.strip()]


def without_constraint(text):
    """What follows a requires clause: of parentheses or concepts, joined by && and ||."""
    clause = re.match(r"requires ?|", text).end()
    while clause:
        name = re.match(r"[\w:]*", text[clause:]).end() + clause
        expression = text[clause:name] == "requires"
        clause = closing(text, name, "()" if text[name] == "(" else "<>") + 1
        if expression:
            clause = closing(text, text.index("{", clause), "{}") + 1
        more = re.match(r" ?(&&|\|\|) ?", text[clause:])
        if not more:
            return text[clause:].strip()
        clause += more.end()
    return text


def parameter(text):
    """Type, name and default of a parameter; the name may be missing."""
    text, _, default = text.partition(" = ")
    match = re.fullmatch(r"(.*?[\s&*>])?(\w+)", text)
    if match and match[1] and match[1].strip() not in ("const", ""):
        return match[1].strip(), match[2], default
    return text, "", default


def call_of(text):
    """The name of a function and the parenthesis after it, or None."""
    for match in re.finditer(r"(operator ?(?:\(\)|[^\s(\w]+)|\b[A-Za-z_]\w*)\((?!\*)", text):
        before = text[: match.start()]
        if " = " in before:
            return None
        if before.count("<") == before.count(">") and match[1] not in ("requires", "decltype"):
            return match
    return None


def declaration(header, line, lines, owner, comment):
    """What some lines of a header declare, or None."""
    template = ""
    text = " ".join(part.strip() for part in lines)
    while text.startswith("template <"):
        end = closing(text, text.index("<"), "<>")
        template += text[text.index("<") + 1 : end]
        text = without_constraint(text[end + 1 :].strip())
    text = re.sub(r"\[\[\w+\]\] |\b(inline|constexpr|static|explicit|friend|virtual|constinit|thread_local) ", "", text)
    result = Declaration(header, line, "value", "", owner, text, template, comment)
    if match := re.match(r"(?:struct|class|union|enum class|enum) (\w+)", text):
        if text.endswith(";") and "{" not in text:
            return None
        result.kind, result.name = "type", match[1]
    elif match := re.match(r"concept (\w+)", text):
        result.kind, result.name = "concept", match[1]
    elif match := re.match(r"using (\w+) =", text):
        result.kind, result.name = "alias", match[1]
    elif match := call_of(text):
        if text[: match.start()].endswith("::"):
            return None
        result.kind, result.name = "function", match[1].replace(" ", "")
        end = closing(text, match.end() - 1)
        result.parameters = [parameter(part) for part in split(text[match.end() : end])]
    elif text.startswith("operator "):
        return None
    elif match := re.search(r"(\w+)(?: = .*|\{.*)?;", text):
        result.name = match[1]
    return result


def braces(lines):
    """How many more braces are opened than closed."""
    text = re.sub(r"""'\\?[^']'|"(\\.|[^"\\])*"|//.*""", "", "\n".join(lines))
    return text.count("{") - text.count("}")


class Lines:
    """The lines of a header and the number of the next one."""

    def __init__(self, header):
        self.lines = (INCLUDE / header).read_text(encoding="utf-8").split("\n")
        self.at = 0

    def statement(self):
        """Takes a declaration, up to the brace of its body. Returns its lines and the comment after ///<."""
        start = self.at
        self.at += 1
        while not re.search(r"[;{}](\s*//.*)?$", self.lines[self.at - 1]) or self.is_constraint(self.at - 1):
            self.at += 1
        taken = self.lines[start : self.at]
        comment = [part[1] for part in map(re.compile(r".*///< (.*)").match, taken) if part]
        while comment and (more := re.match(r" +///< (.*)", self.lines[self.at])):
            comment.append(more[1])
            self.at += 1
        return [re.sub(r"\s*//.*", "", part) for part in taken], comment

    def is_constraint(self, number):
        """Whether a line is a requires clause that ends in a brace, before the declaration itself."""
        return re.match(r" *requires\b.*\}$", self.lines[number])

    def skip_body(self, head):
        depth = braces(head)
        while depth > 0:
            depth += braces([self.lines[self.at]])
            self.at += 1


def names_of_fields(text):
    """The names that `Index d_in = 0, d_out = 0;` declares."""
    return [re.sub(r"( =|\{).*", "", value).split()[-1] for value in split(re.sub(r"'.'|;$", "", text))]


def declarations(header):
    """The public declarations of a header, members after their types."""
    lines = Lines(header)
    found, namespaces, comment, owner, public = [], [], [], None, True
    while lines.at < len(lines.lines):
        line, start = lines.lines[lines.at], lines.at
        indent = "  " if owner else ""
        if re.match(rf"{indent}///( |$)", line):
            comment.append(line[len(indent) + 4 :])
            lines.at += 1
            continue
        if not namespaces and not line.startswith("namespace") or not re.match(rf"{indent}[^\s#/}}]", line):
            lines.at += 1
            if line.startswith("}") and owner:
                owner = None
            elif line.startswith("}"):
                namespaces = namespaces[:-1]
            elif re.fullmatch(r" (public|private|protected):", line):
                public = line == " public:"
        elif namespace := re.match(r"namespace ([\w:]+) \{", line):
            lines.at += 1
            namespaces.append(namespace[1])
        else:
            text, aside = lines.statement()
            new = declaration(header, start, text, owner.name if owner else "", comment or aside)
            if new and owner and new.kind == "value":
                new.kind = "constant" if "static" in line else "field"
                owner.fields += names_of_fields(new.text) if public and new.kind == "field" else []
            has_members = new and new.kind == "type" and not owner and text[-1].endswith("{") and "enum" not in new.text
            if not has_members or namespaces != ["filigree"]:
                lines.skip_body(text)
            is_public = namespaces[:1] == ["filigree"] and "detail" not in namespaces
            if new and (public or not owner) and is_public:
                new.name = "::".join(namespaces[1:] + [new.name])
                new.end = lines.at
                found.append(new)
                if has_members:
                    owner, public = new, new.text.startswith("struct")
        comment = []
    return found
