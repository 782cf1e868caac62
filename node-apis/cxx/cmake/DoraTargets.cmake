# The C and C++ node APIs from a checkout, without installing them. For CMake projects:
#
#   include(<checkout>/node-apis/cxx/cmake/DoraTargets.cmake)
#   add_executable(node node.cc ${node_bridge})
#   add_dependencies(node Dora_cxx)
#   target_include_directories(node PRIVATE ${dora_cxx_include_dir})
#   target_link_directories(node PRIVATE ${dora_link_dirs})
#   target_link_libraries(node dora_node_api_cxx)
#
# or shorter, with the same names as the installed packages:
#
#   target_link_libraries(node dora-node-api-cxx::dora-node-api-cxx)
#
# DORA_LINK_DIR names a folder with libraries that are there already; then nothing is built.

get_filename_component(_dora_root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

set(dora_c_include_dir "${_dora_root}/node-apis/c/include")
set(_dora_operator_include "${_dora_root}/node-apis/operator/include")
set(dora_cxx_include_dir "${_dora_root}/node-apis/cxx/include" "${dora_c_include_dir}" "${_dora_operator_include}")
# Headers only: for nodes there are no sources to compile along.
set(node_bridge "")
set(operator_bridge "${_dora_operator_include}/dora-operator-bridge.cc")

if(DORA_LINK_DIR)
  set(dora_link_dirs "${DORA_LINK_DIR}")
  add_custom_target(Dora_c)
else()
  if(CMAKE_BUILD_TYPE STREQUAL Debug)
    set(_dora_profile dev)
    set(_dora_folder debug)
  else()
    set(_dora_profile release)
    set(_dora_folder release)
  endif()
  set(_dora_target "${CMAKE_BINARY_DIR}/dora-target")
  set(dora_link_dirs "${_dora_target}/${_dora_folder}")
  add_custom_target(Dora_c
    COMMAND cargo build --profile ${_dora_profile} --package dora-node-api-c --lib --target-dir "${_dora_target}"
    WORKING_DIRECTORY "${_dora_root}"
    BYPRODUCTS "${dora_link_dirs}/libdora_node_api_c.a"
    USES_TERMINAL VERBATIM)
endif()
add_custom_target(Dora_cxx DEPENDS Dora_c)

if(APPLE)
  set(_dora_extra "-framework CoreServices" "-framework Security" m)
else()
  set(_dora_extra gcc_s util rt pthread m dl)
endif()

add_library(dora_node_api_c INTERFACE)
target_include_directories(dora_node_api_c INTERFACE "${dora_c_include_dir}")
target_link_libraries(dora_node_api_c INTERFACE "${dora_link_dirs}/libdora_node_api_c.a" ${_dora_extra})
add_dependencies(dora_node_api_c Dora_c)

add_library(dora_node_api_cxx INTERFACE)
target_include_directories(dora_node_api_cxx INTERFACE ${dora_cxx_include_dir})
target_compile_features(dora_node_api_cxx INTERFACE cxx_std_17)
target_link_libraries(dora_node_api_cxx INTERFACE dora_node_api_c)

add_library(dora-node-api-c::dora-node-api-c ALIAS dora_node_api_c)
add_library(dora-node-api-cxx::dora-node-api-cxx ALIAS dora_node_api_cxx)

unset(_dora_root)
unset(_dora_profile)
unset(_dora_folder)
unset(_dora_target)
unset(_dora_extra)
