# `cmake --install`, find_package(weft), pkg-config weft, and three Debian packages by `cpack`:
# libweft (the library), libweft-dev (headers, CMake and pkg-config files), weft-tools (the programs).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Installed programs find the library relative to themselves, so that the whole folder can be moved.
file(RELATIVE_PATH WEFT_BIN_TO_LIB ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
if(WEFT_PROGRAM_TARGETS)
  set_target_properties(${WEFT_PROGRAM_TARGETS} PROPERTIES INSTALL_RPATH "$ORIGIN/${WEFT_BIN_TO_LIB}")
  install(TARGETS ${WEFT_PROGRAM_TARGETS} RUNTIME COMPONENT weft-tools)
endif()
install(TARGETS weft EXPORT weft-targets
  LIBRARY COMPONENT libweft NAMELINK_COMPONENT libweft-dev
  ARCHIVE COMPONENT libweft-dev)
install(DIRECTORY common/include/weft client/include/weft TYPE INCLUDE COMPONENT libweft-dev FILES_MATCHING PATTERN "*.h")

set(WEFT_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
configure_package_config_file(cmake/weft-config.cmake.in ${PROJECT_BINARY_DIR}/weft-config.cmake
  INSTALL_DESTINATION ${WEFT_CMAKE_DIR} PATH_VARS CMAKE_INSTALL_BINDIR)
# Before 1.0 a minor version may break the ABI, as the SONAME says.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/weft-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT weft-targets NAMESPACE weft:: DESTINATION ${WEFT_CMAKE_DIR} COMPONENT libweft-dev)
install(FILES ${PROJECT_BINARY_DIR}/weft-config.cmake ${PROJECT_BINARY_DIR}/weft-config-version.cmake cmake/dependencies.cmake
  DESTINATION ${WEFT_CMAKE_DIR} COMPONENT libweft-dev)

file(RELATIVE_PATH WEFT_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" WEFT_PC_PREFIX "${WEFT_PC_PREFIX}")
if(NOT BUILD_SHARED_LIBS)
  set(WEFT_PC_PRIVATE "Requires: libzmq libsodium libxxhash spdlog sqlite3 zlib\nLibs.private: -lbacktrace -ldl")
endif()
configure_file(cmake/weft.pc.in ${PROJECT_BINARY_DIR}/weft.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT libweft-dev)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME weft)
set(CPACK_PACKAGE_CONTACT "The Weft developers <weft@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_OUTPUT_FILE_PREFIX ${PROJECT_BINARY_DIR}/packages)
set(CPACK_COMPONENTS_ALL libweft libweft-dev)
if(WEFT_PROGRAM_TARGETS)
  list(APPEND CPACK_COMPONENTS_ALL weft-tools)
endif()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
foreach(component LIBWEFT LIBWEFT-DEV WEFT-TOOLS)
  string(TOLOWER ${component} package)
  set(CPACK_DEBIAN_${component}_PACKAGE_NAME ${package})
endforeach()
set(CPACK_COMPONENT_LIBWEFT_DESCRIPTION "Task graphs on many machines, from C++: the library")
set(CPACK_COMPONENT_LIBWEFT-DEV_DESCRIPTION "Task graphs on many machines, from C++: headers, CMake and pkg-config files")
set(CPACK_COMPONENT_WEFT-TOOLS_DESCRIPTION "Task graphs on many machines, from C++: weft, weft-scheduler, weft-worker")
# dpkg-shlibdeps names the packages of every library we link; ours is found in the build folder.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_LIBWEFT_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_LIBWEFT_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_LIBWEFT_PACKAGE_GENERATE_SHLIBS_POLICY "=")
set(CPACK_DEBIAN_WEFT-TOOLS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_WEFT-TOOLS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_WEFT-TOOLS_PACKAGE_DEPENDS "libweft (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_LIBWEFT-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBWEFT-DEV_PACKAGE_DEPENDS "libweft (= ${PROJECT_VERSION})")
include(CPack)
