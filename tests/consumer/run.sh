#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#   run.sh case
# CTest sets: BUILD (Filigree's build folder), SCRATCH, CMAKE, GENERATOR, CXX, LAUNCHER (a compiler launcher such as
# ccache, or empty), EIGEN.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
include=$(cd "$here/../../include" && pwd)
options=(-std=c++20 "-I$include" "-isystem$EIGEN")

skip() { echo "skipped: $*"; exit 77; }

# compile object source [flag...]: compiles with the launcher, if there is one.
compile() { $LAUNCHER "$CXX" "${options[@]}" "${@:3}" -c "$2" -o "$1"; }

# Prints the headers that filigree.hpp includes, directly or indirectly, as filigree/folder/name.hpp.
reached_headers() {
  echo '#include <filigree/filigree.hpp>' >everything.cpp
  "$CXX" "${options[@]}" -MM everything.cpp | tr -s ' \\' '\n' | sed -n "s|^$include/\(filigree/.*\.hpp\)$|\1|p" | sort -u
}

install_here() { "$CMAKE" --install "$BUILD" --prefix "$PWD/prefix"; }

build_project() {
  "$CMAKE" -G "$GENERATOR" -S "$here/project" -B build -DCMAKE_CXX_COMPILER="$CXX" \
    -DCMAKE_CXX_COMPILER_LAUNCHER="${LAUNCHER// /;}" -DEigen3_DIR="$(eigen_dir)" "$@"
  "$CMAKE" --build build
  build/consumer 2
}

eigen_dir() { sed -n 's/^Eigen3_DIR:PATH=//p' "$BUILD/CMakeCache.txt"; }

# find_package after an installation. Only the installed headers and library are found.
find_package() {
  install_here
  build_project -DCMAKE_PREFIX_PATH="$PWD/prefix" -DCMAKE_BUILD_TYPE=Debug
}

# add_subdirectory: the project builds filigree::compiled and links it.
add_subdirectory() { build_project -DFILIGREE_SOURCE="$here/../.."; }

pkg_config() {
  command -v pkg-config || skip "no pkg-config"
  install_here
  PKG_CONFIG_PATH=$PWD/prefix/share/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
  export PKG_CONFIG_PATH
  pkg-config --exists eigen3 || skip "no eigen3.pc"
  # shellcheck disable=SC2046
  "$CXX" -std=c++20 "$here"/{main,unit}.cpp $(pkg-config --cflags --libs filigree) -o program
  ./program
}

# One compiler command with only -I options. The program has two units that include everything, one of them with NDEBUG.
plain() {
  printf '#define NDEBUG\n#include "unit.cpp"\n' >other.cpp
  "$CXX" -std=c++20 -I "$include" -I "$EIGEN" -I "$here" "$here"/{main,unit}.cpp other.cpp -o program
  ./program 2
}

# Names that other platforms define as macros, including min and max of windows.h. The source includes the standard
# headers and Eigen, then the macros, then Filigree.
macros() {
  {
    reached_headers | sed "s|^|$include/|" | xargs sed -nE 's/^ *# *include *<([^>]+)>.*/\1/p' | sort -u |
      sed 's|.*|#if __has_include(<&>)\n#include <&>\n#endif|'
    echo '#include <Eigen/Dense>'
    echo '#include <Eigen/Sparse>'
    echo '#define min(a, b) (((a) < (b)) ? (a) : (b))'
    echo '#define max(a, b) (((a) > (b)) ? (a) : (b))'
    echo '#include "platform_macros.hpp"'
    echo '#include <filigree/filigree.hpp>'
    echo '#include "unit.cpp"'
  } >macros.cpp
  "$CXX" "${options[@]}" "-I$here" -fsyntax-only macros.cpp
}

# using namespace Eigen and using namespace filigree, in one program.
namespaces() {
  compile namespaces.o "$here/namespaces.cpp"
  "$CXX" namespaces.o -o program
  ./program
}

# Prints each Filigree header and the Eigen header that it includes, directly or indirectly: SparseCore, Core or none.
eigen_headers() {
  (cd "$include" && grep -rE '^ *# *include *["<]' filigree) | awk -F '[:"<>]' '
    function reaches(file, wanted, parts, count, i) {
      if (file == wanted) return 1
      if (seen[file]++) return 0
      count = split(included[file], parts, " ")
      for (i = 1; i <= count; ++i) if (reaches(parts[i], wanted)) return 1
      return 0
    }
    { included[$1] = included[$1] " " $3 }
    END {
      for (file in included) {
        delete seen; sparse = reaches(file, "Eigen/SparseCore")
        delete seen; core = reaches(file, "Eigen/Core")
        print file, sparse ? "SparseCore" : core ? "Core" : "none"
      }
    }
  '
}

# Each header that filigree.hpp includes must compile alone. Every other header must include another library, directly
# or through another such header. Parsing Eigen takes most of the time, so the needed part of Eigen, and nothing else, is
# a precompiled header.
headers() {
  local reached others header failures=0
  reached=$(reached_headers)
  [[ $reached ]] || { echo "filigree.hpp includes no header"; exit 1; }
  for header in Core SparseCore; do
    echo "#include <Eigen/$header>" >"$header.hpp"
    "$CXX" "${options[@]}" -Wall -Wextra -x c++-header "$header.hpp" -o "$header.hpp.gch"
  done
  echo >none.hpp
  check() {
    printf '#include <%s>\n' "$1" "$1" |
      "$CXX" "${options[@]}" -Wall -Wextra -Werror -include "$2.hpp" -fsyntax-only -x c++ - ||
      { echo "$1 does not compile alone"; exit 1; }
  }
  export -f check
  export CXX
  eigen_headers | sort | join - <(echo "$reached") |
    xargs -P "$(nproc)" -L 1 bash -c "options=(${options[*]@Q}); check \"\$@\"" check
  others=$(cd "$include" && find filigree -name '*.hpp' ! -name '*_windows.hpp' | sort | comm -23 - <(echo "$reached"))
  while read -r header; do
    grep -qE '^# *include <([^>]*\.(h|hpp)|[a-z]+/[^>]*)>' "$include/$header" || grep -qF "$others" "$include/$header" || {
      echo "$header: filigree.hpp does not include it, although it needs no other library"
      failures=1
    }
  done <<<"$others"
  return $failures
}

# Units with different -m flags, and a unit that uses the compiled library, link and compute correct results in either
# link order.
flags() {
  grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo || skip "this processor has no AVX2"
  compile main.o "$here/main.cpp" -O2
  compile none.o "$here/unit.cpp" -O2
  compile avx2.o "$here/unit.cpp" -O2 -mavx2 -mfma
  compile native.o "$here/unit.cpp" -O2 -march=native
  compile compiled.o "$here/unit.cpp" -O2 -march=native -DFILIGREE_COMPILED
  library=$BUILD/CMakeFiles/filigree_compiled.dir/src/compiled.cpp.o
  [[ -f $library ]] || { compile library.o "$here/../../src/compiled.cpp" -O2; library=library.o; }
  "$CXX" main.o none.o avx2.o native.o compiled.o "$library" -o rising -pthread
  "$CXX" main.o "$library" compiled.o native.o avx2.o none.o -o falling -pthread
  ./rising 4
  ./falling 4
}

# Without -m flags, AVX code is only in the namespaces of the instruction sets.
disassembly() {
  command -v objdump || skip "no objdump"
  compile main.o "$here/main.cpp" -O2
  compile none.o "$here/unit.cpp" -O2
  "$CXX" main.o none.o -o program -pthread
  objdump -d -C --no-show-raw-insn program >listing
  grep -q 'file format elf64-x86-64' listing || skip "not x86-64"
  awk -F '\t' '
    /^[0-9a-f]+ <.*>:$/ { name = $0; sub(/^[0-9a-f]+ </, "", name); sub(/>:$/, "", name); next }
    $2 ~ /^v[a-z]|%[yz]mm|%k[0-7]/ {
      if (name ~ /filigree::kernel::([A-Za-z0-9_]+::)*avx512::/) wide += $2 ~ /%zmm/
      else if (name ~ /filigree::kernel::([A-Za-z0-9_]+::)*avx2::/) half += $2 ~ /%ymm/
      else if (!stray[name]++) print "AVX code outside the namespaces of the instruction sets: " name ": " $2
    }
    END {
      for (name in stray) exit 1
      print wide + 0 " zmm instructions in avx512, " half + 0 " ymm instructions in avx2"
      exit !(wide && half)
    }
  ' listing
}

rm -rf "$SCRATCH"
mkdir -p "$SCRATCH"
cd "$SCRATCH"
"$1"
