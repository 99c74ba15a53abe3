#!/usr/bin/env python3
"""Lists the settings that `GET /config` of each release of TiKV shows, by its sources.

    data/settings/list.py TIKV.git > data/settings/releases.tsv

TIKV.git is a clone with the release branches of https://github.com/tikv/tikv. The structures of the
configuration are followed from the outermost one down, with the names under which they are serialized; what
`/config` hides is left out. Of raft-engine, which lies in another repository, the settings of
`etc/config-template.toml` are listed.
"""
import re
import sys

from structures import Walk
from release_branches import RELEASES, branch, git, spans


def of_template(repository, name):
    """The settings of raft-engine."""
    text = git(repository, "show", f"{name}:etc/config-template.toml")
    inside = re.search(r"^\[raft-engine\]\n(.*?)(?=^\[)", text, re.S | re.M)
    for key, value in re.findall(r"^#? ?([a-z0-9-]+) = (.+)$", inside[1] if inside else "", re.M):
        value = value.strip('"')
        if value in ("true", "false"):
            kind = "switch"
        elif re.fullmatch(r"[0-9.]+", value):
            kind = "number"
        elif re.fullmatch(r"[0-9.]+(B|KB|MB|GB|KiB|MiB|GiB)", value):
            kind = "size"
        else:
            kind = "word"
        yield f"raft-engine.{key}", kind


def main():
    repository = sys.argv[1]
    known = {}
    for release in RELEASES:
        name = branch(repository, release)
        walk = Walk(repository, name)
        walk.visit(walk.outermost(), "", True)
        walk.found.update(of_template(repository, name))
        for key, kind in walk.found.items():
            # The newest release says what a value is.
            before = known.setdefault(key, [kind, []])
            before[0] = kind
            before[1].append(release)
    print("# Made by data/settings/list.py: setting, what its value is, the releases whose /config shows it.")
    for key in sorted(known):
        kind, releases = known[key]
        print(f"{key}\t{kind}\t{spans(releases)}")


main()
