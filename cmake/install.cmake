# SPDX-License-Identifier: MIT
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The headers alone do not depend on the architecture.
set(targets filigree)
set(any_architecture ARCH_INDEPENDENT)
set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/filigree)
if(FILIGREE_COMPILED_LIBRARY)
  list(APPEND targets filigree_compiled)
  set(any_architecture "")
  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/filigree)
endif()

target_include_directories(filigree INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(DIRECTORY include/filigree DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.inl")
install(TARGETS ${targets} EXPORT filigreeTargets)
install(EXPORT filigreeTargets NAMESPACE filigree:: DESTINATION ${package_dir})

configure_package_config_file(cmake/filigreeConfig.cmake.in filigreeConfig.cmake INSTALL_DESTINATION ${package_dir}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(filigreeConfigVersion.cmake COMPATIBILITY SameMinorVersion ${any_architecture})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/filigreeConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/filigreeConfigVersion.cmake
        DESTINATION ${package_dir})

configure_file(cmake/filigree.pc.in filigree.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/filigree.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
