# cmake -DINPUT=page.html -DOUTPUT=page.c -P embed_page.cmake: the dashboard as the bytes that dashboard.h declares.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){20})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "/* Made by src/service/embed_page.cmake. */
#include \"service/dashboard.h\"
const unsigned char freshet_dashboard_page[] = {
${bytes}
};
const size_t freshet_dashboard_page_size = sizeof freshet_dashboard_page;
")
