# cmake -DLIST=pages.txt -DROOT=repository -DOUTPUT=FILE.c -P manual_pages.cmake: the pages of the manual as the table
# that manual.h declares. A line of the list: topic|man page|section|source.
file(STRINGS ${LIST} pages)
set(texts "")
set(rows "")
set(number 0)
foreach(page ${pages})
  string(REPLACE "|" ";" parts "${page}")
  list(GET parts 0 topic)
  list(GET parts 1 man)
  list(GET parts 2 section)
  list(GET parts 3 source)
  file(READ ${ROOT}/${source} hex HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(REGEX REPLACE "(('[^']*',){16})" "\\1\n" bytes "${bytes}")
  string(APPEND texts "static const char text_${number}[] = {${bytes}'\\0'};\n")
  string(APPEND rows "    {\"${topic}\", \"${man}\", ${section}, \"${source}\", text_${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "/* Made by src/commands/manual/manual_pages.cmake. */
#include \"commands/manual/manual.h\"
${texts}
const freshet_manual_page freshet_manual_pages[] = {
${rows}    {NULL, NULL, 0, NULL, NULL},
};
")
