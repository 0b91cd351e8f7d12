# Makes a C header with the text of IN as a string constant; the variable is called after the file.
file(READ ${IN} text)
get_filename_component(name ${IN} NAME)
string(MAKE_C_IDENTIFIER ${name} name)
string(REPLACE "\\" "\\\\" text "${text}")
string(REPLACE "\"" "\\\"" text "${text}")
string(REPLACE "\n" "\\n\"\n\"" text "${text}")
file(WRITE ${OUT} "static const char ${name}[] =\n\"${text}\";\n")
