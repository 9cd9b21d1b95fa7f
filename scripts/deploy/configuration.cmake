# cmake -DFRESHET=binary -DOUTPUT=freshet.conf -P configuration.cmake
# The configuration of the package: every key with its documentation, from the program itself, and the few values that a
# system's service needs.
execute_process(COMMAND ${FRESHET} config --defaults OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)

# set_value(DEFAULT SETTING): the line "#DEFAULT" becomes "SETTING"; a line that is missing is a mistake here.
function(set_value default setting)
  string(FIND "${text}" "\n#${default}\n" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "configuration.cmake: `freshet config --defaults` has no line #${default}")
  endif()
  string(REPLACE "\n#${default}\n" "\n${setting}\n" text "${text}")
  set(text "${text}" PARENT_SCOPE)
endfunction()

set_value("bootstrap.servers = 127.0.0.1:9092" "bootstrap.servers = 127.0.0.1:9092")
set_value("folder = freshet-state" "folder = /var/lib/freshet/state")
file(WRITE ${OUTPUT} "${text}")
