#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks the headers against the rules of the house; prints one line for each breach.
#
#   layering.sh [include folder]
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../include}"

find filigree -name '*.hpp' -o -name '*.inl' | sort | xargs awk '
  BEGIN {
    count = split("core io kernel pipe pattern score_map normalize select engine attention nn encoder transformer", folders)
    for (i = 1; i <= count; ++i) level[folders[i]] = i
  }

  # The folder of filigree/pipe/stage.hpp and of the umbrella filigree/pipe.hpp is pipe.
  function folder_of(path, parts) { split(path, parts, "/"); sub(/\.hpp$/, "", parts[2]); return parts[2] }
  function breach(text, line) { print FILENAME ":" line ": " text; breaches++ }
  function finish() {
    if (last && lines > 400) { print last ":" lines ": more than 400 lines"; breaches++ }
    if (last ~ /\.hpp$/ && !once) { print last ":1: no #pragma once"; breaches++ }
  }

  FNR == 1 {
    finish()
    last = FILENAME; once = region = 0; folder = folder_of(FILENAME)
    if (folder != "filigree" && !(folder in level)) breach("the folder " folder " is not in the list", 1)
    if ($0 != "// SPDX-License-Identifier: MIT") breach("the first line must be // SPDX-License-Identifier: MIT", 1)
  }
  { lines = FNR }
  /^#pragma once$/ { once = 1 }
  /FILIGREE_TARGET_BEGIN\(/ && !/#define/ { region = 1 }
  /FILIGREE_TARGET_END/ && !/#define/ { region = 0 }

  /^[ \t]*#[ \t]*include/ && !/\.inl"/ && (region || FILENAME ~ /\.inl$/) {
    breach("an .inl file or a target region includes .inl files only", FNR)
  }
  /^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\""); other = folder_of(quoted[2])
    if (quoted[2] !~ /^filigree\//) breach("include \"filigree/...\" by its full path", FNR)
    else if (folder == "filigree") ;
    else if (!(other in level)) breach(folder " must not include " quoted[2], FNR)
    else if (level[other] > level[folder]) breach(folder " lies above " other " and must not include it", FNR)
    else if (folder == "nn" && other == "attention") breach("nn never includes attention", FNR)
  }

  /Eigen::internal|namespace internal/ && FILENAME != "filigree/core/lazy.hpp" {
    breach("only core/lazy.hpp touches Eigen::internal", FNR)
  }
  /Eigen::all([^A-Za-z0-9_]|$)/ { breach("write Eigen::indexing::all", FNR) }
  /TODO|FIXME/ { breach("unfinished", FNR) }

  END { finish(); exit breaches > 0 }
'
echo "layering: ok"
