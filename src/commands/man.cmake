# cmake -DFRESHET=binary -DTEMPLATE=freshet.1.in -DVERSION=x -DOUTPUT=freshet.1 -P man.cmake
# The manual page from the program's own help texts, so that the two cannot differ.

# Text that roff is to print as it stands.
function(to_roff text result)
  string(REPLACE "\\" "\\e" text "${text}")
  string(REPLACE "-" "\\-" text "${text}")
  string(REGEX REPLACE "(^|\n)([.'])" "\\1\\\\&\\2" text "${text}")
  string(STRIP "${text}" text)
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

function(run result)
  execute_process(COMMAND ${FRESHET} ${ARGN} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  set(${result} "${output}" PARENT_SCOPE)
endfunction()

run(overview help)
string(REGEX MATCHALL "\n  [a-z-]+ " names "${overview}")
set(COMMANDS "")
foreach(name ${names})
  string(STRIP "${name}" name)
  if(name MATCHES "^(help|version)$")
    continue()
  endif()
  run(usage help ${name})
  to_roff("${usage}" usage)
  to_roff("${name}" name)
  string(APPEND COMMANDS ".SS ${name}\n.nf\n${usage}\n.fi\n")
endforeach()

run(defaults config --defaults)
to_roff("${defaults}" CONFIGURATION)

file(READ ${TEMPLATE} page)
foreach(part VERSION COMMANDS CONFIGURATION)
  string(REPLACE "@${part}@" "${${part}}" page "${page}")
endforeach()
file(WRITE ${OUTPUT} "${page}")
