# For cmake -DCMAKE_TOOLCHAIN_FILE: builds for arm64 on another machine. The environment variable ARM64_ROOT names an arm64
# Debian 12 with the packages of scripts/setup; scripts/deploy/arm64/test makes one.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(root $ENV{ARM64_ROOT})
set(CMAKE_SYSROOT ${root})
set(CMAKE_FIND_ROOT_PATH ${root})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(libraries ${root}/usr/lib/aarch64-linux-gnu)
# The root is unpacked and not set up, so alternatives such as that of OpenBLAS have no links.
set(ENV{PKG_CONFIG_LIBDIR} ${libraries}/pkgconfig:${libraries}/openblas-pthread/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${root})
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${root} -E LD_LIBRARY_PATH=${libraries}/openblas-pthread)
