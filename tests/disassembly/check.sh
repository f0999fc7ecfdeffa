#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests that the inner loops of the NEON score kernel, of float and of double, consist of multiply-adds by lane: one for
# each of 6 queries, 4 vectors of keys and 2 unrolled features. A loop must not broadcast a number or access the stack,
# and each of the 24 accumulators must stay in its register.
#
#   check.sh objdump object
set -euo pipefail
"$1" -d -C --no-show-raw-insn "$2" >score.listing
awk -F '\t' -v queries=6 -v vectors=4 -v features=2 '
  function fail(text) { print name ": " text; failures++ }

  # Checks the instructions [first, last] of a loop with multiply-adds.
  function check(first, last, i, lanes, others, accumulators, wide, register) {
    delete register
    for (i = first; i <= last; ++i) {
      if (code[i] ~ /^fmla .*\.(4s, v[0-9]+\.s|2d, v[0-9]+\.d)\[[0-3]\]$/) {
        ++lanes
        wide = code[i] ~ /2d/
        split(code[i], word, /[ .]/)
        if (!register[word[2]]++) ++accumulators
      } else if (code[i] ~ /^(fmla|fmul|fadd|fmadd)/)
        ++others
      else if (code[i] ~ /^(dup|ld1r)/ || code[i] ~ /\[(sp|x29)/)
        fail("in the inner loop: " code[i])
    }
    if (lanes != queries * vectors * features) fail(lanes + 0 " multiply-adds by lane in the inner loop")
    if (others) fail(others " other operations in the inner loop")
    if (accumulators != queries * vectors) fail(accumulators + 0 " accumulators in the inner loop")
    loops[wide ? "double" : "float"]++
  }
  /^[0-9a-f]+ <.*>:$/ { name = $0; sub(/^[0-9a-f]+ </, "", name); sub(/>:$/, "", name); count = 0; delete place; next }
  /^ *[0-9a-f]+:/ {
    address = $1; gsub(/[ :]/, "", address)
    place[address] = ++count
    code[count] = $2 (NF > 2 ? " " $3 : "")
    jumps_back[count] = 0
    if ($2 !~ /^(b|b\..*|cbn?z|tbn?z)$/) next
    target = $3; sub(/ <.*/, "", target); sub(/.*[ ,]/, "", target)
    if (!(target in place)) next
    jumps_back[count] = 1
    products = inner = 0
    for (i = place[target]; i < count; ++i) { products += code[i] ~ /^fmla/; inner += jumps_back[i] }
    if (products && !inner) check(place[target], count)
  }
  END {
    if (loops["float"] != 1 || loops["double"] != 1) {
      print "score_panel must have one inner loop, found " loops["float"] + 0 " of float, " loops["double"] + 0 " of double"
      failures++
    }
    if (!failures) print "each inner loop: " queries * vectors * features " multiply-adds by lane, no access to the stack"
    exit failures > 0
  }
' score.listing
