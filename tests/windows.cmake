# SPDX-License-Identifier: MIT
# The tests of the folders whose code differs on Windows, and of attention, without those of forks and of libraries.

# Headers of the machine that builds, without its C library beside them.
function(filigree_host_headers target folder)
  get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
  set(host ${CMAKE_CURRENT_BINARY_DIR}/host)
  file(MAKE_DIRECTORY ${host})
  foreach(directory IN LISTS directories)
    if(EXISTS ${directory}/${folder})
      file(CREATE_LINK ${directory}/${folder} ${host}/${folder} SYMBOLIC)
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${host})
endfunction()
filigree_host_headers(Catch2::Catch2 catch2)
find_package(nlohmann_json REQUIRED)
filigree_host_headers(nlohmann_json::nlohmann_json nlohmann)

file(GLOB tests RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS core/*.cpp io/*.cpp attention/*.cpp)
list(REMOVE_ITEM tests core/fork.cpp core/modules.cpp io/png.cpp io/zlib.cpp)
# wine creates its configuration at the first start, of which two at a time fail.
add_test(NAME wine COMMAND wine cmd /c exit)
set_tests_properties(wine PROPERTIES FIXTURES_SETUP wine)
foreach(test IN LISTS tests)
  cmake_path(REMOVE_EXTENSION test)
  filigree_test(${test} BRIEF)
  set_tests_properties(${test} PROPERTIES FIXTURES_REQUIRED wine)
  string(REPLACE / _ target test_${test})
  target_link_libraries(${target} PRIVATE nlohmann_json::nlohmann_json)
endforeach()
