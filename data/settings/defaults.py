#!/usr/bin/env python3
"""Lists what TiKV's settings are by default in each release, where that is the same on every machine.

    data/settings/defaults.py TIKV.git > src/model/settings/defaults.tsv

TIKV.git is a clone with the release branches of https://github.com/tikv/tikv. A default is taken out of the
`impl Default` of its structure, where it is a literal, a constant, or a size or duration of one. Left out is what
depends on the machine or on other settings: what is computed, what is not set, and every field that anything in the
configuration's own files assigns, such as the adjustments at start. Where `etc/config-template.toml` of the same
release names another default, neither is believed. Only settings that a recording keeps are listed, and values that
it keeps (`src/model/settings/allowed.rs` and `values.rs`). Of raft-engine, which lies in another repository, the defaults are those of the template.
"""
import os
import re
import sys

from structures import FILES, Walk, unwrapped
from release_branches import RELEASES, branch, git, spans

# Settings of raft-engine that are computed from the machine's memory.
COMPUTED = {"raft-engine.memory-limit"}

IMPL = re.compile(r"^impl Default for (\w+) \{\n(.*?)^\}", re.S | re.M)
TESTS = re.compile(r"^#\[cfg\(test\)\]\nmod \w+ \{\n.*?^\}", re.S | re.M)
CONST = re.compile(r"const ([A-Z][A-Z0-9_]*): ?[&'\w]+ = ([^;\n]+);")
ASSIGNED = re.compile(r"\.\s*(\w+)\s*(?:=(?!=)|\.\s*get_or_insert)")
SIZES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
TIMES = {"micros": 1, "millis": 1_000, "secs": 1_000_000, "minutes": 60_000_000, "hours": 3_600_000_000,
         "days": 86_400_000_000}
UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
SPANS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def parts(text):
    """The parts of a list between commas, those inside brackets left alone."""
    depth, part = 0, ""
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth <= 0:
            yield part.strip()
            part = ""
        else:
            part += char
    if part.strip():
        yield part.strip()


def literal(body, struct):
    """The fields of the structure that a `fn default()` returns."""
    body = re.sub(r"//[^\n]*", "", body)
    found = re.search(rf"(?:^|\s)(?:Self|{struct}) \{{", body[body.find("fn default"):].partition("{")[2])
    if not found:
        return None
    rest = body[body.find("fn default"):].partition("{")[2][found.end():]
    depth, end = 1, 0
    for end, char in enumerate(rest):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            break
    fields = {}
    for part in parts(rest[:end]):
        part = re.sub(r"#\[[^\]]*\]\s*", "", part)
        name, colon, value = part.partition(":")
        fields[name.strip()] = value.strip() if colon and not name.strip().startswith("..") else None
    return fields


def size(number):
    for unit in ("GiB", "MiB", "KiB"):
        if number and number % UNITS[unit] == 0:
            return f"{number // UNITS[unit]}{unit}"
    return f"{number}B" if number else "0KiB"


def span(number):
    if number == 0:
        return "0s"
    text = ""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, number = divmod(number, SPANS[unit])
        text += f"{count}{unit}" if count else ""
    return text


def kebab(variant):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", variant).lower()


class Defaults:
    def __init__(self, repository, name, words):
        self.walk, self.words = Walk(repository, name), words
        self.found, self.literals, self.derived, self.assigned = {}, {}, set(), set()
        self.consts, self.anywhere = {}, {}
        paths = sorted({path for path, _ in self.walk.structures})
        for path in paths:
            text = TESTS.sub("", git(repository, "show", f"{name}:{path}"))
            for struct, body in IMPL.findall(text):
                self.literals[path, struct] = literal(body, struct)
            self.derived |= {(path, struct) for struct in re.findall(
                r"#\[derive\([^\]]*\bDefault\b[^\]]*\)\](?:\s*(?:#\[[^\n]*\]|//[^\n]*)\n?)*\s*pub struct (\w+)", text)}
            self.assigned |= set(ASSIGNED.findall(text))
        grep = git(repository, "grep", "-E", r"const [A-Z][A-Z0-9_]*: ?[A-Za-z0-9_]+ = ", name, "--", "*.rs")
        for line in grep.splitlines():
            path, _, rest = line.split(":", 1)[1].partition(":")
            for const, value in CONST.findall(rest):
                self.consts[path, const] = value
                self.anywhere.setdefault(const, set()).add(value)

    def number(self, text, path):
        text = text.strip().replace("_", "").replace("as usize", "").replace("as u64", "") if re.match(
            r"^[\d_ *+.()asuize64]+$", text) else text.strip()
        if re.fullmatch(r"[\d *+.()]+", text) and re.search(r"\d", text):
            return eval(text)  # Digits and operators only.
        const = re.fullmatch(r"(?:\w+::)*([A-Z][A-Z0-9_]*)", text)
        if const:
            values = self.anywhere.get(const[1], set())
            value = self.consts.get((path, const[1])) or (next(iter(values)) if len(values) == 1 else None)
            return self.number(value, path) if value and value != text else None
        factors = [self.number(one, path) for one in text.split("*")] if "*" in text.lstrip("*") else [None]
        return None if None in factors else eval("*".join(map(str, factors)))

    def value(self, text, kind, path):
        """A default as TiKV shows it; `None` where it is none that is the same everywhere."""
        text = text.strip()
        if inner := re.fullmatch(r"Some\((.*)\)", text, re.S):
            return self.value(inner[1], unwrapped(kind), path)
        if text in ("true", "false"):
            return text
        if found := re.fullmatch(r"ReadableSize(?:::(b|kb|mb|gb))?\((.*)\)", text, re.S):
            number = self.number(found[2], path)
            return None if number is None else size(int(number) * SIZES[found[1] or "b"])
        if found := re.fullmatch(r"ReadableDuration::(\w+)\((.*)\)", text, re.S):
            number = self.number(found[2], path)
            return None if number is None or found[1] not in TIMES else span(int(number) * TIMES[found[1]])
        if text == "ReadableDuration::ZERO":
            return "0s"
        if found := re.fullmatch(r"\[(.*)\]", text, re.S):
            values = [self.value(one, "word", path) for one in parts(found[1])]
            return None if None in values else ",".join(values)
        if found := re.fullmatch(r"(?:\w+::)*[A-Z]\w+::([A-Z][A-Za-z0-9]*)", text):
            return kebab(found[1]) if kebab(found[1]) in self.words else None
        if re.fullmatch(r"(Option<)?[iuf](8|16|32|64|size)>?", kind):
            number = self.number(text, path)
            return None if number is None else re.sub(r"\.0$", ".0", str(number))
        return None

    def of_type(self, kind):
        if kind == "bool":
            return "false"
        if re.fullmatch(r"[iu](8|16|32|64|size)", kind):
            return "0"
        return {"ReadableSize": "0KiB", "ReadableDuration": "0s"}.get(kind)

    def place(self, kind):
        kind = kind.rsplit("::", 1)[-1]
        own = "Config" if kind in FILES else kind
        paths = [path for path, struct in self.walk.structures if struct == own
                 and (kind not in FILES or re.fullmatch(FILES[kind], path))]
        return (min(paths), own) if paths else None

    def visit(self, kind, prefix):
        place = self.place(kind)
        values = self.literals.get(place)
        for field, of, attributes in self.walk.fields_of(kind) or []:
            named = re.search(r'serde\([^)]*rename\s*=\s*"([^"]+)"', attributes)
            key = named[1] if named else field.replace("_", "-")
            inner = unwrapped(of).rsplit("::", 1)[-1]
            if self.walk.fields_of(inner) is not None:
                whole = (values or {}).get(field)
                if place in self.derived or (whole and re.fullmatch(r"(?:\w+::)*(?:\w+|Default)::default\(\)", whole)):
                    flat = re.search(r"prefix_(\w+)", attributes)
                    below = prefix + (flat[1] + "-" if flat else "") if "flatten" in attributes else f"{prefix}{key}."
                    self.visit(inner, below)
                continue
            if field in self.assigned or "serde(skip" in attributes or "serde(default" in attributes:
                continue
            if place in self.derived:
                value = self.of_type(of)
            else:
                text = (values or {}).get(field)
                value = self.value(text, of, place[0]) if text else None
            if value is not None:
                self.found[prefix + key] = value


def canonical(text):
    """A value such that equal ones are equal texts."""
    text = text.strip().strip('"')
    text = re.sub(r"(?<=\d)([KMG])$", r"\1B", text)
    if re.fullmatch(r"0(\.0)?([KMG]?i?B|m?s)?", text):
        return "0"
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)", text):
        return f"{float(found[1]) * UNITS[found[2]]:.0f}B"
    if re.fullmatch(r"(\d+(us|ms|s|m|h|d))+", text):
        return f"{sum(int(n) * SPANS[u] for n, u in re.findall(r'([0-9]+)(us|ms|[smhd])', text))}us"
    try:
        return str(float(text.replace("_", "")))
    except ValueError:
        return ",".join(re.findall(r"[\w-]+", text)) or text


def template(repository, name):
    """The values of the template, by the whole name of the setting."""
    table, found = "", {}
    for line in git(repository, "show", f"{name}:etc/config-template.toml").splitlines():
        if head := re.fullmatch(r"#? ?\[([a-z0-9.-]+)\]", line.strip()):
            table = head[1] + "."
        elif pair := re.match(r"^#? ?([a-z0-9-]+) = (.+?)\s*$", line):
            found.setdefault(table + pair[1], pair[2])
    return found


def source(file):
    """A file of the program that says what is kept, without its tests."""
    here = os.path.dirname(os.path.abspath(__file__))
    return open(os.path.join(here, "..", "..", "src", "model", "settings", file)).read().split("#[cfg(test)]")[0]


def words():
    """The words that a setting that is kept may have as its value: what TiKV serializes its enumerations as."""
    return set(re.findall(r'"([^"]+)"', re.search(r"const WORDS: [^=]+= &\[(.*?)\];", source("values.rs"), re.S)[1]))


def listed():
    """Whole names of the settings that are kept."""
    text = source("allowed.rs")
    consts = {name: re.findall(r'"([^"]+)"', body)
              for name, body in re.findall(r"const (\w+): &\[&str\] = &\[(.*?)\];", text, re.S)}
    tables = re.search(r"const TABLES: [^=]+= &\[(.*?)\n\];", text, re.S)[1]
    names = set()
    for table, body in re.findall(r'\(\s*"([^"]*)",\s*(&\[.*?\]|\w+)\s*,?\s*\)', tables, re.S):
        own = consts[body] if body in consts else re.findall(r'"([^"]+)"', body)
        names |= {f"{table}.{name}" if table else name for name in own}
    return names


def main():
    repository, kept = sys.argv[1], listed()
    known, doubted = {}, set()
    for release in RELEASES:
        name = branch(repository, release)
        defaults = Defaults(repository, name, words())
        defaults.visit(defaults.walk.outermost(), "")
        told = template(repository, name)
        for key, value in told.items():
            if key.startswith("raft-engine.") and key not in COMPUTED and re.fullmatch(r'true|false|[\d.]+|"[\d.]+(B|KB|MB|GB|s|m|h)"', value):
                defaults.found[key] = value.strip('"').replace("KB", "KiB").replace("MB", "MiB").replace("GB", "GiB")
        for key, value in defaults.found.items():
            if key in told and canonical(told[key]) != canonical(value):
                doubted.add((key, release, value, told[key]))
            elif key in kept:
                known.setdefault((key, value), []).append(release)
    for key, release, value, other in sorted(doubted):
        print(f"left out: {key} of {release}: {value} in the source, {other} in the template", file=sys.stderr)
    print("# Made by data/settings/defaults.py: setting, its value by default, the releases that have it.")
    for key, value in sorted(known):
        print(f"{key}\t{value}\t{spans(known[key, value])}")


main()
