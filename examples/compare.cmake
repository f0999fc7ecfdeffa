# SPDX-License-Identifier: MIT
#   cmake -DPROGRAM=... -DEXPECTED=... [-DARGUMENTS=...] -P compare.cmake
# Runs the program once per instruction set and compares its output. Two parts may depend on the machine: the text to the
# right of a bar │, and the working directory.
cmake_minimum_required(VERSION 3.25)
cmake_path(GET EXPECTED STEM name)
foreach(level IN ITEMS avx512 avx2 baseline)
  set(ENV{FILIGREE_INSTRUCTION_SET} ${level})
  execute_process(COMMAND ${PROGRAM} ${ARGUMENTS} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE "│[^\n]*" "│" output "${output}")
  string(REPLACE "${CMAKE_CURRENT_BINARY_DIR}/" "" output "${output}")
  file(READ ${EXPECTED} expected)
  if(NOT output STREQUAL expected)
    message(FATAL_ERROR "With ${level} kernels, ${name} prints\n${output}\ninstead of the content of ${EXPECTED}:\n${expected}")
  endif()
endforeach()
