# cmake -DINPUT=datasets.txt -DOUTPUT=FILE.c -P embed_table.cmake: the table of data sets as a C string.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){20})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "/* Made by src/commands/input/embed_table.cmake. */
extern const char freshet_dataset_table[];
const char freshet_dataset_table[] = {
${bytes}0};
")
