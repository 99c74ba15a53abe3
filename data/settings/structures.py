"""The structures of TiKV's configuration in a release, followed from the outermost one down with the names under which
they are serialized: what the lists of settings and of their defaults are made from."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from release_branches import git  # noqa: E402

# Structures that are all called `Config`, by the name under which the outermost one imports them.
FILES = {
    "RaftstoreConfig": "components/raftstore/src/store/config.rs",
    "CopConfig": "components/raftstore/src/coprocessor/config.rs",
    "ServerConfig": "src/server/config.rs",
    "StorageConfig": "src/storage/config.rs",
    "ImportConfig": "components/sst_importer/src/config.rs",
    "PessimisticTxnConfig": "src/server/lock_manager/config.rs",
    "BatchSystemConfig": "components/batch-system/src/config.rs",
    "ResourceControlConfig": "components/resource_control/src/(lib|config).rs",
}

# Tables whose values name something, or are no settings of what is diagnosed.
LEFT_OUT = {"PdConfig", "SecurityConfig", "CoprocessorV2Config", "ResourceMeteringConfig", "CausalTsConfig",
            "MetricConfig", "HadoopConfig", "RawRaftEngineConfig"}

STRUCT = re.compile(r"((?:[ \t]*#\[[^\n]*\]\s*|[ \t]*//[^\n]*\n)*)[ \t]*pub struct (\$?\w+)\s*\{\n(.*?)\n[ \t]*\}", re.S)
MACRO = re.compile(r"macro_rules! (\w+) \{(.*?)\n\}", re.S)
FIELD = re.compile(r"^\s*pub(?:\(crate\))? (\w+): (.+?),?\s*(?://.*)?$")


def fields(body):
    """Name, type and attributes of each field."""
    attributes = ""
    for line in body.split("\n"):
        line = line.strip()
        if line.startswith("#["):
            attributes += line
        elif found := FIELD.match(line):
            yield found[1], found[2], attributes
            attributes = ""


def structures(repository, name):
    """The structures of a release, by file and name."""
    grep = git(repository, "grep", "-lE", r"rename_all ?= ?\"kebab-case\"", name, "--", "*.rs")
    found = {}
    for path in [one.split(":", 1)[1] for one in grep.split()]:
        if "/tests/" in path or path.startswith("tests/"):
            continue
        text = git(repository, "show", f"{name}:{path}")
        macros = {macro: body for macro, body in MACRO.findall(text)}
        plain = MACRO.sub("", text)
        for attributes, struct, body in STRUCT.findall(plain):
            found[path, struct] = list(fields(body))
        for macro, body in macros.items():
            shapes = STRUCT.findall(body)
            uses = re.findall(rf"\b{macro}!\s*\(\s*(\w+)", plain)
            for attributes, _, inner in shapes:
                for struct in uses:
                    found[path, struct] = list(fields(inner))
    return found


def unwrapped(kind):
    found = re.fullmatch(r"(?:Option|Arc|VersionTrack)<(.+)>", kind)
    return unwrapped(found[1]) if found else kind


def shape(kind):
    """What a value looks like."""
    if kind == "ReadableDuration":
        return "duration"
    if re.fullmatch(r"(Option)?ReadableSize(OrPercent)?|AbsoluteOrPercentSize", kind):
        return "size"
    if kind == "bool":
        return "switch"
    if re.fullmatch(r"[iuf](8|16|32|64|size)", kind):
        return "number"
    return "word"


class Walk:
    def __init__(self, repository, name):
        self.found = {}
        self.structures = structures(repository, name)

    def fields_of(self, kind):
        kind = kind.rsplit("::", 1)[-1]
        if kind in FILES:
            meant = [path for path, struct in self.structures if struct == "Config" and re.fullmatch(FILES[kind], path)]
            return self.structures[min(meant), "Config"] if meant else None
        named = [one for (_, struct), one in sorted(self.structures.items()) if struct == kind]
        return named[0] if named and kind != "Config" else None

    def visit(self, kind, prefix, is_encoded):
        for field, of, attributes in self.fields_of(kind):
            if "serde(skip" in attributes:
                continue
            if is_encoded and re.search(r"config\(hidden\)", attributes):
                continue
            named = re.search(r'serde\([^)]*rename\s*=\s*"([^"]+)"', attributes)
            key = named[1] if named else field.replace("_", "-")
            inner = unwrapped(of).rsplit("::", 1)[-1]
            if inner in LEFT_OUT:
                continue
            below = is_encoded and bool(re.search(r"config\(submodule\)", attributes))
            if "flatten" in attributes:
                with_prefix = re.search(r"prefix_(\w+)", attributes)
                self.visit(inner, prefix + (with_prefix[1] + "-" if with_prefix else ""), below)
            elif self.fields_of(inner) is not None:
                self.visit(inner, f"{prefix}{key}.", below)
            else:
                self.found[prefix + key] = shape(inner)

    def outermost(self):
        return "TikvConfig" if self.fields_of("TikvConfig") else "TiKvConfig"
