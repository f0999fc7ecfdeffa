# SPDX-License-Identifier: MIT
# Tests for another operating system or processor use these headers of the machine that builds, without its C library.
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
