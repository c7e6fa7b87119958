# One source tree gives one binary, byte for byte, in whatever folder it is built; `tools/reproducible` shows it.
if(NOT CMAKE_BUILD_TYPE STREQUAL "Release")
  return() # Debuggers look for the sources where they are.
endif()

# Names of files are written into the binary by what checks itself, and into its debug information. ccache gives the
# compiler paths that are relative to the build's folder, without it they are absolute: both become the same names. Of
# several maps that fit, the last one counts.
file(RELATIVE_PATH path_to_sources ${CMAKE_BINARY_DIR} ${PROJECT_SOURCE_DIR})
add_compile_options(
  -ffile-prefix-map=${path_to_sources}=
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=
  -ffile-prefix-map=${CMAKE_BINARY_DIR}=.
  -ffile-prefix-map=${CMAKE_BINARY_DIR}/=
  -Werror=date-time)
# An identity that is made of what was linked, not of where or when.
add_link_options(LINKER:--build-id=sha1)
