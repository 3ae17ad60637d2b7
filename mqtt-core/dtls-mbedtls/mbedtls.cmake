# How Mbed TLS is compiled. Its crate is made for small devices: it asks for small code, without the instructions of
# any one processor. Here the code shall be fast. Nothing here may change the layout of a public type: the bindings are
# made without this file, and without it the code is merely slower.

if(EXISTS "${CMAKE_SOURCE_DIR}/include/mbedtls/build_info.h")
    add_compile_options(-O3)
    # RFC 4279 section 5.3 asks for pre-shared keys of 64 bytes.
    add_compile_definitions(MBEDTLS_PSK_MAX_LEN=64)
    add_compile_options(-include "${CMAKE_CURRENT_LIST_DIR}/x86_64.h")
endif()
