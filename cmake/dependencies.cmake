# What libweft links. `WEFT_PRIVATE_LIBRARIES` never reaches a user of the shared library; a static libweft needs them
# again, so weft-config.cmake includes this same file then. One module a line; `dev` names the Debian package of each.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(WEFT_ZMQ REQUIRED IMPORTED_TARGET libzmq)
pkg_check_modules(WEFT_SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(WEFT_SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(WEFT_XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(WEFT_SPDLOG REQUIRED IMPORTED_TARGET spdlog)

set(WEFT_PRIVATE_LIBRARIES PkgConfig::WEFT_ZMQ PkgConfig::WEFT_SODIUM PkgConfig::WEFT_XXHASH PkgConfig::WEFT_SPDLOG
                           PkgConfig::WEFT_SQLITE ZLIB::ZLIB backtrace ${CMAKE_DL_LIBS})
