#!/usr/bin/env python3
"""Lists the metrics that each release of TiKV and PD registers, by their sources.

    data/metrics/list.py TIKV.git PD.git > data/metrics/releases.tsv

TIKV.git and PD.git are clones with the release branches of https://github.com/tikv/tikv and
https://github.com/tikv/pd. Names are taken as they stand: a histogram is listed without `_bucket`, `_sum` and
`_count`. Names that are put together at run time are not found.
"""
import re
import subprocess
import sys

RELEASES = [
    "5.0", "5.1", "5.2", "5.3", "5.4", "6.0", "6.1", "6.2", "6.3", "6.4", "6.5", "6.6",
    "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "8.0", "8.1", "8.2", "8.3", "8.4", "8.5", "master",
]


def git(repository, *arguments):
    done = subprocess.run(["git", "-C", repository, *arguments], capture_output=True)
    return done.stdout.decode("utf-8", "replace")


def branch(repository, release):
    for name in ([release] if release == "master" else [f"release-{release}", f"origin/release-{release}"]):
        if git(repository, "rev-parse", "--verify", "-q", name).strip():
            return name
    return None


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


def ranges(releases):
    """`5.0-6.1 7.0-master`"""
    places = sorted(RELEASES.index(one) for one in releases)
    runs = []
    for place in places:
        if runs and runs[-1][1] == place - 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return " ".join(
        RELEASES[a] if a == b else f"{RELEASES[a]}-{RELEASES[b]}" for a, b in runs
    )


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
            print(f"{component}\t{metric}\t{ranges(by_metric[metric])}")


main()
