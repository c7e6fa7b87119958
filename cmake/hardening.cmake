# What the compiler and the linker do against a fault that a stranger's bytes find. Everything that is linked into the
# binary and compiled here has it, generated code too; `tests/system/test_binary.py` looks for each in the built file.
# Sanitizers have the stricter check of the same thing, and see less where FORTIFY replaces the function they watch.
option(BUILDER_HARDENING "Compile and link as for production" OFF)
if(NOT BUILDER_HARDENING)
  return()
endif()
if(BUILDER_SANITIZE)
  message(FATAL_ERROR "BUILDER_HARDENING and BUILDER_SANITIZE exclude each other")
endif()

# Loaded at an address that nobody knows.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_link_options(-pie)
add_compile_options(
  # A frame's return address is checked before it is used.
  -fstack-protector-strong
  # A large frame touches every page, so that none steps over the guard page into another thread's memory.
  -fstack-clash-protection
  # What is read before it was written is zero, not what an earlier call (another tenant's deployment) has left there.
  -ftrivial-auto-var-init=zero)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # Every place that an indirect call or jump may lead to says so (endbr64). Debian's archives of gRPC do not: the linker
  # therefore cannot mark the file, and the kernel does not enforce it yet (docs/security.md).
  add_compile_options(-fcf-protection=full)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  add_compile_options(-mbranch-protection=standard)
endif()
add_compile_definitions(
  # Copies, formats and reads of the C library know the size of their target, also one that is only known as it runs.
  _FORTIFY_SOURCE=3
  # An index, iterator or optional that is not there ends the worker, instead of leading elsewhere; the deployment is
  # read alone then (ARCHITECTURE.md).
  _GLIBCXX_ASSERTIONS)
add_link_options(
  # Every symbol is bound at the start, and the table of them is read-only from then on.
  LINKER:-z,relro,-z,now
  # No stack that can be executed, whatever an object of a library asks for.
  LINKER:-z,noexecstack
  # Nothing but code is in pages that can be executed.
  LINKER:-z,separate-code)
