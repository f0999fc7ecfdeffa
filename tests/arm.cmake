# SPDX-License-Identifier: MIT
# The tests of the kernels for each instruction set, those of the engines and of the law for the default one, and those
# of core without forks and libraries.

foreach(test IN ITEMS cache check list random executor)
  filigree_test(core/${test} BRIEF)
endforeach()
foreach(test IN LISTS kernels)
  filigree_test(${test} LEVELS)
endforeach()
file(GLOB tests RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS engine/*.cpp law/*.cpp)
list(REMOVE_ITEM tests engine/invariance_openmp.cpp)
# Unoptimized engines run 170 times as long under qemu as optimized ones do without it.
foreach(test IN LISTS tests)
  cmake_path(REMOVE_EXTENSION test)
  if(test MATCHES "^law/")
    filigree_test(${test} BRIEF)
  else()
    filigree_test(${test})
  endif()
endforeach()
filigree_test(engine/invariance_openmp OPENMP)

foreach(mode IN ITEMS no_denormals upward downward toward_zero)
  filigree_repeat(${mode} FILIGREE_TEST_FLOATS=${mode} ${kernels})
endforeach()

# The disassembly of the score kernel, optimized as in the programs of users.
add_library(test_score_kernel OBJECT disassembly/score.cpp)
target_link_libraries(test_score_kernel PRIVATE filigree::filigree)
target_compile_options(test_score_kernel PRIVATE -O2)
add_test(NAME disassembly/score
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/disassembly/check.sh ${CMAKE_OBJDUMP} $<TARGET_OBJECTS:test_score_kernel>)
set_tests_properties(disassembly/score PROPERTIES WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
