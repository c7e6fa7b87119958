# What every target of ours is compiled with. Third-party and generated code is SYSTEM.
option(BUILDER_WERROR "Warnings are errors" OFF)
set(BUILDER_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined")

add_library(builder_settings INTERFACE)
target_include_directories(builder_settings INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(builder_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wsuggest-override -Wcast-qual -Wformat=2 -Wextra-semi
  -Wduplicated-cond -Wlogical-op -Wimplicit-fallthrough -Wundef
  # Designated initialisers leave the rest at their defaults on purpose.
  -Wno-missing-field-initializers)
if(BUILDER_WERROR)
  target_compile_options(builder_settings INTERFACE -Werror)
endif()
if(BUILDER_SANITIZE)
  target_compile_options(builder_settings INTERFACE
    -fsanitize=${BUILDER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    # g++ 12 sees uninitialised use in std::stop_source under sanitizers; a false alarm.
    -Wno-maybe-uninitialized)
  target_link_options(builder_settings INTERFACE -fsanitize=${BUILDER_SANITIZE})
endif()
target_link_libraries(builder_settings INTERFACE Threads::Threads)
target_link_options(builder_settings INTERFACE LINKER:--as-needed)

# With CMAKE_UNITY_BUILD the compiler reads several files of a target as one: a whole build takes half the time, and one
# after the change of one file longer. Presets that are built as a whole have it on.
set(CMAKE_UNITY_BUILD_BATCH_SIZE 12 CACHE STRING "Files that are read as one")
if(CMAKE_UNITY_BUILD)
  # A name without linkage is as good in a file that was included: nothing else includes it.
  target_compile_options(builder_settings INTERFACE -Wno-subobject-linkage)
  # The files are included by their absolute names. Without the folder in them ccache serves every clone.
  add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
endif()

# What is tested is optimised, and sanitized; the tests themselves take up to twice as long to compile with it. Linked
# last, so that it has the last word.
add_library(builder_test_settings INTERFACE)
target_compile_options(builder_test_settings INTERFACE -O0 -fno-sanitize=undefined)

# builder_library(NAME SOURCES a.cpp … LIBS …): one static library per folder of src/. A folder
# links only what it may see, so that the linker keeps the direction of the arrows.
function(builder_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBS")
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC builder_settings ${arg_LIBS})
  builder_line_tables(${name})
endfunction()

# builder_test(KIND AREA [COMPUTES] [ONE_THREAD] SOURCES … LIBS …): the executable KIND_AREA, run by
# ctest with the label KIND (unit or contract). COMPUTES: the tests themselves do most of the work.
# ONE_THREAD: neither they nor what they test start another, so a search for races has nothing to find.
function(builder_test kind area)
  cmake_parse_arguments(PARSE_ARGV 2 arg "COMPUTES;ONE_THREAD" "" "SOURCES;LIBS")
  if(arg_ONE_THREAD AND BUILDER_SANITIZE STREQUAL "thread")
    return()
  endif()
  set(name ${kind}_${area})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE builder_settings ${arg_LIBS} GTest::gmock GTest::gtest_main)
  if(NOT arg_COMPUTES)
    target_link_libraries(${name} PRIVATE builder_test_settings)
  endif()
  target_link_options(${name} PRIVATE $<$<CONFIG:Release>:-s>)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${kind} TIMEOUT 600)
endfunction()
