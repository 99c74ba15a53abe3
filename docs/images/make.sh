#!/usr/bin/env bash
# Draws the pictures of the README anew: the first screen of a replay, and the page of a report. Needs Debian's
# packages `chromium`, `pngquant` and `fonts-dejavu-core`.
#
#   docs/images/make.sh FILE    with the program FILE, such as target/release/operator
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

shoot() {
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$scratch/profile" \
    --window-size="$2" --screenshot="$scratch/$1.png" "file://$scratch/$1.html" > /dev/null 2>&1
  pngquant --force --output "docs/images/$1.png" 32 "$scratch/$1.png"
}

# A verdict of a fault is exit code 10, and `head` closes the pipe.
COLUMNS=80 "$program" replay chaos-02 --color always > "$scratch/replay.txt" || [ $? = 10 ]
{
  echo '<!doctype html><meta charset="utf-8"><style>
    body { margin: 0; padding: 14px 18px; background: #14181d; color: #d5dbe1 }
    pre { margin: 0; font: 14px/1.38 "DejaVu Sans Mono", monospace }
    .c1 { font-weight: bold; color: #fff } .c2 { color: #8b96a1 } .c31 { font-weight: bold; color: #ff7b72 }
    .c32 { color: #57d17a } .c33 { color: #e3b341 }</style><pre><span class="c2">$</span> operator replay chaos-02'
  head -n 23 "$scratch/replay.txt" | sed -E 's/&/\&amp;/g; s/</\&lt;/g
    s/\x1b\[0m/<\/span>/g; s/\x1b\[([0-9]+)m/<span class="c\1">/g'
  echo '</pre>'
} > "$scratch/replay.html"
shoot replay 740,495

"$program" report chaos-02 -o "$scratch/page.html" || [ $? = 10 ]
shoot page 940,1480
