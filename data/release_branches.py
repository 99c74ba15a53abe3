"""Release branches of TiKV and PD in a clone: what the lists of metrics and of settings are made from."""

import subprocess

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


def spans(releases):
    """`5.0-6.5 7.1-master` for the releases."""
    places = sorted(RELEASES.index(release) for release in releases)
    runs = []
    for place in places:
        if runs and runs[-1][1] == place - 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return " ".join(RELEASES[a] if a == b else f"{RELEASES[a]}-{RELEASES[b]}" for a, b in runs)
