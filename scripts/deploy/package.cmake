# The Debian packages, made by CPack: freshet (program, service, demo) and freshet-dev (library and headers).
# scripts/package runs it. Included at the end of CMakeLists.txt.
#
# What belongs below /etc and /lib is its own component, left out of `cmake --install`: that one installs into a prefix
# only.
set(deploy ${PROJECT_SOURCE_DIR}/scripts/deploy)
set(configuration ${PROJECT_BINARY_DIR}/freshet.conf)
add_custom_command(
  OUTPUT ${configuration}
  COMMAND ${CMAKE_COMMAND} "-DFRESHET=${CMAKE_CROSSCOMPILING_EMULATOR};$<TARGET_FILE:freshet>"
          -DOUTPUT=${configuration} -P ${deploy}/configuration.cmake
  DEPENDS freshet ${deploy}/configuration.cmake VERBATIM)
set(changelog ${PROJECT_BINARY_DIR}/changelog.gz)
add_custom_command(
  OUTPUT ${changelog}
  COMMAND sh -c "gzip -9nc ${deploy}/debian/changelog > ${changelog}"
  DEPENDS ${deploy}/debian/changelog VERBATIM)
set(manual_packed ${PROJECT_BINARY_DIR}/man-packed)
add_custom_command(
  OUTPUT ${manual_packed}/man1/freshet.1.gz
  COMMAND sh -c "rm -rf $0 && cp -r $1 $0 && rm -f $0/done && cp $2 $0/man1/ && gzip -9nrf $0" ${manual_packed}
          ${manual_folder} ${manual}
  DEPENDS ${manual} ${manual_folder}/done VERBATIM)
add_custom_target(package_files DEPENDS ${configuration} ${changelog} ${manual_packed}/man1/freshet.1.gz)

function(install_system)
  install(${ARGN} COMPONENT system EXCLUDE_FROM_ALL)
endfunction()
install_system(FILES ${configuration} DESTINATION /etc/freshet)
install_system(FILES ${deploy}/debian/freshet.service DESTINATION /lib/systemd/system)
install_system(FILES ${deploy}/debian/sysusers.conf DESTINATION /usr/lib/sysusers.d RENAME freshet.conf)
install_system(FILES ${deploy}/debian/tmpfiles.conf DESTINATION /usr/lib/tmpfiles.d RENAME freshet.conf)
install_system(DIRECTORY ${manual_packed}/ DESTINATION /usr/share/man)
install_system(FILES ${deploy}/debian/copyright ${changelog} DESTINATION /usr/share/doc/freshet)
install(FILES ${deploy}/debian/copyright ${changelog} DESTINATION /usr/share/doc/freshet-dev COMPONENT development_system
        EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR Freshet)
set(CPACK_PACKAGE_CONTACT "Freshet maintainers <freshet@example.org>")
set(CPACK_COMPONENTS_ALL program system development development_system)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_COMPONENT_PROGRAM_GROUP freshet)
set(CPACK_COMPONENT_SYSTEM_GROUP freshet)
set(CPACK_COMPONENT_DEVELOPMENT_GROUP dev)
set(CPACK_COMPONENT_DEVELOPMENT_SYSTEM_GROUP dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_FRESHET_PACKAGE_NAME freshet)
set(CPACK_DEBIAN_FRESHET_PACKAGE_SECTION net)
set(CPACK_DEBIAN_FRESHET_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_FRESHET_PACKAGE_DEPENDS
    "systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles, passwd, python3:any")
set(CPACK_DEBIAN_FRESHET_PACKAGE_SUGGESTS "python3-pip")
set(CPACK_DEBIAN_FRESHET_DESCRIPTION
    "recommendations as fresh as the stream
Freshet reads clicks, ratings and purchases from Kafka, learns from each the
moment it arrives, and publishes the refreshed list of that user within
milliseconds. This package has the program, its systemd service, the Avro
schemas and the data of its demo.")
set(CPACK_DEBIAN_FRESHET_PACKAGE_CONTROL_EXTRA
    "${deploy}/debian/conffiles;${deploy}/debian/postinst;${deploy}/debian/prerm;${deploy}/debian/postrm")
set(CPACK_DEBIAN_FRESHET_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME freshet-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
    "libopenblas-dev, libutf8proc-dev, libcurl4-openssl-dev, libjansson-dev, libxxhash-dev")
set(CPACK_DEBIAN_DEV_DESCRIPTION
    "recommendations as fresh as the stream (library)
The model, the ranker and the text encoders of Freshet as a static library
with its headers, for programs that embed them.")
include(CPack)
