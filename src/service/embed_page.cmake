# cmake -DINPUT=FILE -DOUTPUT=FILE.c -DHEADER=NAME.h -DNAME=SYMBOL -P embed_page.cmake: a file as the bytes that
# src/service/NAME.h declares as SYMBOL and SYMBOL_size.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){20})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "/* Made by src/service/embed_page.cmake. */
#include \"service/${HEADER}\"
const unsigned char ${NAME}[] = {
${bytes}
};
const size_t ${NAME}_size = sizeof ${NAME};
")
