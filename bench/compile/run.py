#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the time and memory that it takes to compile programs: run.py [repetitions]

Prints CPU time and peak memory of one compiler process at -O2, and the time relative to Eigen's headers alone. Programs
are compiled alternately, and results are medians. CXX names a compiler (default: g++ and clang++); EIGEN is the folder
of Eigen's headers."""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CASES = [  # name, source, flags
    ("Eigen's headers alone", HERE / "eigen.cpp", []),
    ("empty program, `filigree.hpp`", HERE / "filigree.cpp", []),
    ("empty program, `attention/attention.hpp`", HERE / "attention.cpp", []),
    ("empty program, `encoder/encoder.hpp`", HERE / "encoder.cpp", []),
    ("the README's program", ROOT / "examples/readme.cpp", []),
    ("the same with `filigree::compiled`", ROOT / "examples/readme.cpp", ["-DFILIGREE_COMPILED"]),
    ("`multi_head` with three patterns", HERE / "multi_head.cpp", []),
    ("an autoencoder with `fit`", HERE / "fit.cpp", []),
]


def compile_once(compiler, source, flags):
    """Returns seconds of CPU time and MiB of peak memory."""
    eigen = os.environ.get("EIGEN", "/usr/include/eigen3")
    command = [compiler, "-std=c++20", "-O2", f"-I{ROOT / 'include'}", f"-I{eigen}", *flags, "-c", str(source)]
    process = subprocess.Popen([*command, "-o", os.devnull])
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    compilers = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++"]
    for compiler in filter(shutil.which, compilers):
        results = [[] for _ in CASES]
        for _ in range(repetitions):
            for case, (_, source, flags) in zip(results, CASES):
                case.append(compile_once(compiler, source, flags))
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
        print(f"\n{version.splitlines()[0]}, -O2, medians of {repetitions}\n")
        print("| program | CPU time, s | over Eigen's headers | peak memory, MiB |\n|---|---:|---:|---:|")
        floor = statistics.median(seconds for seconds, _ in results[0])
        for (name, _, _), case in zip(CASES, results):
            seconds, memory = (statistics.median(column) for column in zip(*case))
            print(f"| {name} | {seconds:.2f} | {seconds / floor:.2f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
