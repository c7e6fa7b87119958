# A release's programs are stripped. What a debugger and a backtrace need of the worker (functions, files and lines, no
# variables) is in a file of its own, PROGRAM.debug, which the program names with its checksum.
find_program(OBJCOPY objcopy REQUIRED)

# builder_line_tables(TARGET): in a release, which line of the sources the code came from.
function(builder_line_tables target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-g1>)
endfunction()

# builder_split_debug_info(TARGET): in a release, TARGET stripped and TARGET.debug beside it, to be installed where
# debuggers look.
function(builder_split_debug_info target)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Release")
    return()
  endif()
  set(debug ${CMAKE_BINARY_DIR}/${target}.debug)
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND ${OBJCOPY} --only-keep-debug --compress-debug-sections $<TARGET_FILE:${target}> ${debug}
    COMMAND ${OBJCOPY} --strip-all --add-gnu-debuglink=${debug} $<TARGET_FILE:${target}>
    BYPRODUCTS ${debug}
    VERBATIM)
  install(FILES ${debug} DESTINATION lib/debug/usr/bin)
endfunction()
