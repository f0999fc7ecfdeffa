# SPDX-License-Identifier: MIT
# The tests of the folders whose code differs on Windows, and of attention, without those of forks and of libraries.

find_package(nlohmann_json REQUIRED)
filigree_host_headers(nlohmann_json::nlohmann_json nlohmann)

file(GLOB tests RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS core/*.cpp io/*.cpp attention/*.cpp)
list(REMOVE_ITEM tests core/fork.cpp core/modules.cpp io/png.cpp io/zlib.cpp)
# wine creates its configuration at the first start, of which two at a time fail.
add_test(NAME wine COMMAND wine cmd /c exit)
set_tests_properties(wine PROPERTIES FIXTURES_SETUP wine)
foreach(test IN LISTS tests)
  cmake_path(REMOVE_EXTENSION test)
  # Without optimization, the table of symbols of an object that instantiates many engines overflows.
  if(test MATCHES "^attention/")
    filigree_test(${test})
  else()
    filigree_test(${test} BRIEF)
  endif()
  set_tests_properties(${test} PROPERTIES FIXTURES_REQUIRED wine)
  string(REPLACE / _ target test_${test})
  target_link_libraries(${target} PRIVATE nlohmann_json::nlohmann_json)
endforeach()
