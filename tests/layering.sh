#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks that the headers follow the rules in CONTRIBUTING.md; prints one line for each violation.
#
#   layering.sh [include folder]
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../include}"

find filigree -name '*.hpp' -o -name '*.inl' | sort | xargs awk '
  BEGIN {
    count = split("core io kernel stage run pattern score_map normalize select engine pipe attention nn encoder transformer retrieval recommend coding", folders)
    for (i = 1; i <= count; ++i) level[folders[i]] = i
  }

  # Returns the folder of a header: pipe for filigree/stage/stage.hpp and for an umbrella header filigree/pipe.hpp.
  function folder_of(path, parts) { split(path, parts, "/"); sub(/\.hpp$/, "", parts[2]); return parts[2] }
  function violation(text, line) { print FILENAME ":" line ": " text; violations++ }
  function finish() {
    if (last && lines > 400) { print last ":" lines ": more than 400 lines"; violations++ }
    if (last ~ /\.hpp$/ && !once) { print last ":1: no #pragma once"; violations++ }
  }

  FNR == 1 {
    finish()
    last = FILENAME; once = region = 0; folder = folder_of(FILENAME)
    if (folder != "filigree" && !(folder in level)) violation("the folder " folder " is not in the list", 1)
    if ($0 != "// SPDX-License-Identifier: MIT") violation("the first line must be // SPDX-License-Identifier: MIT", 1)
  }
  { lines = FNR }
  /^#pragma once$/ { once = 1 }
  /FILIGREE_TARGET_BEGIN\(/ && !/#define/ { region = 1 }
  /FILIGREE_TARGET_END/ && !/#define/ { region = 0 }

  /^[ \t]*#[ \t]*include/ && !/\.inl"/ && (region || FILENAME ~ /\.inl$/) {
    violation("an .inl file or a target region must include .inl files only", FNR)
  }
  /^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\""); other = folder_of(quoted[2])
    if (quoted[2] !~ /^filigree\//) violation("include \"filigree/...\" by its full path", FNR)
    else if (folder == "filigree") ;
    else if (!(other in level)) violation(folder " must not include " quoted[2], FNR)
    else if (level[other] > level[folder]) violation(folder " precedes " other " and must not include it", FNR)
    else if (folder == "nn" && other == "attention") violation("nn must not include attention", FNR)
  }

  FILENAME ~ /^filigree\/nn\/(network|network_pass|sequence|sequence_pass|pass)\.hpp$/ &&
  /(^|[^A-Za-z])(Linear|Gated|TopK|PreBias|Penalize|JumpRelu|LayerNorm|Dropout|L0)([^A-Za-z]|$)/ {
    violation("a network is run without naming a layer; only nn/fuse.hpp names layers that run together", FNR)
  }
  /Eigen::internal|namespace internal/ && FILENAME != "filigree/core/lazy.hpp" {
    violation("only core/lazy.hpp may use Eigen::internal", FNR)
  }
  /Eigen::all([^A-Za-z0-9_]|$)/ { violation("write Eigen::indexing::all", FNR) }
  /\/\/\/.*[^ \/] (Formula|Shapes|Cost|Edge case|Aliasing|Throws|Reference)  / {
    violation("a line of a comment is longer than 120 columns, and clang-format has joined it with the next one", FNR)
  }
  /TODO|FIXME/ { violation("TODO and FIXME are not allowed", FNR) }

  END { finish(); exit violations > 0 }
'
echo "layering: ok"
