#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tests/parity/run.sh [name...]: runs the references, or those named, and writes what they compute into data/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=build/parity/venv
if ! cmp -s tests/parity/requirements.txt "$venv/ready"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet -r tests/parity/requirements.txt
  cp tests/parity/requirements.txt "$venv/ready"
fi
HF_HUB_OFFLINE=1 exec "$venv/bin/python" -B -W ignore tests/parity/generate.py "$@"
