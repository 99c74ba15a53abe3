#!/usr/bin/env python3
"""Lists the metrics that each release of TiKV and PD registers, by their sources.

    data/metrics/list.py TIKV.git PD.git > data/metrics/releases.tsv

TIKV.git and PD.git are clones with the release branches of https://github.com/tikv/tikv and
https://github.com/tikv/pd. Names are taken as they stand: a histogram is listed without `_bucket`, `_sum` and
`_count`. Names that are put together at run time are not found.
"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from release_branches import RELEASES, branch, git, spans  # noqa: E402


def of_tikv(repository, name):
    """String literals with a component's prefix in the files that register metrics."""
    files = git(repository, "grep", "-lE", r"register_|describe_|Desc::new|Opts::new", name, "--", "*.rs")
    found = set()
    for path in files.split():
        path = path.split(":", 1)[1]
        if "/tests/" in path or path.startswith("tests/"):
            continue
        text = git(repository, "show", f"{name}:{path}")
        found.update(re.findall(r'"((?:tikv|raft_engine)_[a-z0-9_]+)"', text))
    return found


OPTIONS = re.compile(r"(?:Opts|HistogramOpts|GaugeOpts|CounterOpts|SummaryOpts)\{(.*?)\n?\s*\}", re.S)
FIELD = re.compile(r'\b(Namespace|Subsystem|Name):\s*("?[\w.]+"?|[\w.]+\s*\+\s*"[\w]+")')
CONSTANT = re.compile(r'^\s*(?:const\s+)?(\w+)\s*(?:string)?\s*=\s*"([a-z0-9_]+)"', re.M)


def of_pd(repository, name):
    """Namespace, subsystem and name of the options of each metric."""
    files = git(repository, "grep", "-lE", r"prometheus\.(Counter|Gauge|Histogram|Summary)?Opts\{", name, "--", "*.go")
    texts = [git(repository, "show", one) for one in files.split() if not one.endswith("_test.go")]
    found = set()
    for text in texts:
        constants = dict(CONSTANT.findall(text))
        for block in OPTIONS.findall(text):
            fields = {key: value.strip('"') for key, value in FIELD.findall(block)}
            parts = [constants.get(fields[key], fields[key]) for key in ("Namespace", "Subsystem", "Name") if key in fields]
            parts = [part for part in parts if re.fullmatch(r"[a-z0-9_]+", part)]
            if "Name" in fields and parts:
                found.add("_".join(parts))
    return found


def main():
    tikv, pd = sys.argv[1:]
    print("# Made by data/metrics/list.py: component, metric, the releases that register it.")
    for component, repository, names in [("tikv", tikv, of_tikv), ("pd", pd, of_pd)]:
        by_metric = {}
        for release in RELEASES:
            name = branch(repository, release)
            if name is None:
                print(f"{component} {release}: no branch", file=sys.stderr)
                continue
            found = names(repository, name)
            print(f"{component} {release}: {len(found)}", file=sys.stderr)
            for metric in found:
                by_metric.setdefault(metric, set()).add(release)
        for metric in sorted(by_metric):
            print(f"{component}\t{metric}\t{spans(by_metric[metric])}")


main()
