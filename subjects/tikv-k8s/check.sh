#!/usr/bin/env bash
# Validates the manifests against the schemas of several versions of Kubernetes, without a cluster.
set -euo pipefail
cd "$(dirname "$0")"
program=${KUBERNETES_VALIDATE:-kubernetes-validate}
command -v "$program" > /dev/null || { echo "install it first: pip install kubernetes-validate" >&2; exit 2; }
for version in ${KUBERNETES_VERSIONS:-1.28 1.31 1.34}; do
  "$program" --strict --kubernetes-version "$version" operator-v1.yaml operator-v2.yaml
done
