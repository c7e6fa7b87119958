# builder_grpc: gRPC, protobuf and what they need. From their archives in release builds: as shared
# objects they are sixty files, each with pages of its own that are mapped, relocated and kept in
# memory at every start (3 MB and 10 ms). Sanitizers need them shared, to tell them from our code.
option(BUILDER_STATIC_GRPC "Link gRPC and protobuf statically" OFF)

pkg_check_modules(GRPC REQUIRED IMPORTED_TARGET grpc++ protobuf)
add_library(builder_grpc INTERFACE)
if(BUILDER_STATIC_GRPC)
  set(libraries ${GRPC_STATIC_LIBRARIES})
  list(REMOVE_DUPLICATES libraries)
  set(archives "")
  set(shared "")
  foreach(library ${libraries})
    find_library(archive_of_${library} lib${library}.a)
    mark_as_advanced(archive_of_${library})
    if(archive_of_${library} AND NOT library MATCHES "^(ssl|crypto|z|m|dl|rt|pthread)$")
      list(APPEND archives ${archive_of_${library}})
    else()
      list(APPEND shared ${library})
    endif()
  endforeach()
  target_link_libraries(builder_grpc INTERFACE
    -Wl,--start-group ${archives} -Wl,--end-group ${shared} Threads::Threads)
else()
  target_link_libraries(builder_grpc INTERFACE PkgConfig::GRPC)
endif()
