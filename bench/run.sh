#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/run.sh [--quick]: builds the benchmarks without -m flags, as a user would, runs them and prints a table of ratios.
# bench/run.sh --words [filter]: measures every word against its floor.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

repetitions=15
min_time=0.1
large=1 # 1: include all cases with large n
words=0
case ${1-} in
  "") ;;
  --quick) repetitions=5 min_time=0.05 large=0 ;;
  --words) words=1 ;;
  *) echo "usage: bench/run.sh [--quick | --words [filter]]" >&2; exit 2 ;;
esac

build=build/measure
results=$build/results
cmake=${CMAKE:-cmake}
"$cmake" --preset default -B "$build" -DFILIGREE_BUILD_TESTS=OFF -DFILIGREE_BUILD_EXAMPLES=OFF -DFILIGREE_BUILD_BENCHMARKS=ON
if ((words)); then
  "$cmake" --build "$build" --target bench_words
  exec "$build/bench/bench_words" --benchmark_filter="${2-.}" --benchmark_repetitions=9 --benchmark_min_time=0.03 \
    --benchmark_enable_random_interleaving=true
fi
"$cmake" --build "$build" --target bench_attention bench_encoders bench_gradients bench_eigen_native bench_report
rm -rf "$results"
mkdir -p "$results"

# measure group filter repetitions [program]: runs repetitions of the cases in random order, so that all cases are
# measured under the same noise.
measure() {
  echo
  "$build/bench/${4-bench_attention}" --benchmark_filter="$2" --benchmark_repetitions="$3" \
    --benchmark_enable_random_interleaving=true --benchmark_min_time="$min_time" \
    --benchmark_display_aggregates_only=true --benchmark_out="$results/$1.json" --benchmark_out_format=json
}

product='^ScoreProduct/4096/4096/64$'
measure 4096 "^FmaPeak|$product|^TopKAttention(Causal)?/4096/" "$repetitions"
measure orders '^TopKAttention(Ascending|Descending|Misleading|Equal|ConstantRows|NearTies)?/4096/64/32$|^TopKAttention(Self|Other)/' "$repetitions"
measure 16384 '^(ScoreProduct|TopKAttention)/16384/' $((repetitions / 2 + 3))
measure threads '^TopKAttentionThreads' $((2 * repetitions)) # wall-clock time, which is affected by other processes
FILIGREE_INSTRUCTION_SET=avx2 measure avx2 "^FmaPeak|$product" "$repetitions"
patterns='^FmaPeak|^(Softmax|Causal)Attention/4096|^(Window|BigBird|Strided)Attention/(4096|16384)'
((large)) && patterns+='|^WindowAttention/65536|^Planning'
measure patterns "$patterns" $((repetitions / 2 + 3))
if ((large)); then
  measure routers '^ProbSparse|^LshAttention/(4096|65536)' 5
  measure decode '^MemoryRead|^Decode' 5
fi
gradients='^FmaPeak|/(4096|16384)/64'
((large)) && gradients=.
measure gradients "$gradients" 5 bench_gradients
measure dense 'Dense' "$repetitions"
measure encoders . "$repetitions" bench_encoders
if ((large)); then
  measure others "$product|^EigenScoreProduct/4096|^(Naive)?TopKAttention/(4096|16384)/64/32$" 5
else
  measure others "$product|^EigenScoreProduct/4096|^(Naive)?TopKAttention/4096/64/32$" 5
fi

# Runs different programs alternately.
echo
include=(-Iinclude $(<"$build/bench/include_flags"))
compilers=()
for compiler in g++ clang++; do
  command -v "$compiler" >/dev/null || continue
  "$compiler" -O2 -std=c++20 "${include[@]}" bench/one_file.cpp -o "$build/one_file.$compiler"
  compilers+=("$compiler")
done
for ((r = 0; r < repetitions; ++r)); do
  measure "one_file.$r" "$product" 1 >/dev/null 2>&1
  for compiler in "${compilers[@]}"; do
    echo "$compiler $("$build/one_file.$compiler")" >>"$results/one_file.txt"
  done
  measure "native.$r" '^EigenScoreProduct' 1 bench_eigen_native >/dev/null 2>&1
done

"$build/bench/bench_report" "$results"
echo "All results: $results/bench.json"
