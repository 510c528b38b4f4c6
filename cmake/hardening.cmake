# Flags of our own targets: warnings and hardening (reliability.md 5.8). Never PUBLIC: a user's flags are the user's.
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

function(weft_own_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wno-missing-field-initializers -fstack-protector-strong)
  # g++ 12 is wrong about moved variants: it warns about members of alternatives that are not there.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
    target_compile_options(${target} PRIVATE -fcf-protection)
  endif()
  target_compile_definitions(${target} PRIVATE _GLIBCXX_ASSERTIONS)
  # Fortified functions need optimisation, and hide from the sanitizers what these would see.
  if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_compile_options(${target} PRIVATE "$<$<NOT:$<CONFIG:Debug,>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
  endif()
  target_link_options(${target} PRIVATE LINKER:-z,relro,-z,now)
endfunction()
