#!/usr/bin/env bash
# The installation is complete, can be moved, and a program that embeds the library builds against it.
set -euo pipefail
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cmake --install build --prefix "$scratch/first" >/dev/null
mv "$scratch/first" "$scratch/moved"
root="$scratch/moved"

for file in bin/freshet include/freshet/model.h lib/libfreshet.a lib/pkgconfig/freshet.pc share/man/man1/freshet.1 \
  share/freshet/schemas/Purchase.avsc share/freshet/demo/items.csv libexec/freshet/fetch-model \
  share/bash-completion/completions/freshet share/zsh/vendor-completions/_freshet; do
  [ -s "$root/$file" ] || { echo "not installed: $file"; exit 1; }
done

version=$("$root/bin/freshet" version)
[ "$version" = "freshet $(PKG_CONFIG_PATH="$root/lib/pkgconfig" pkg-config --modversion freshet)" ]
while read -r command; do
  grep -qF ".SS ${command//-/\\-}" "$root/share/man/man1/freshet.1" || { echo "not in the manual: $command"; exit 1; }
done < <("$root/bin/freshet" help | sed -n 's/^  \([a-z-]*\) .*/\1/p' | grep -vx 'help\|version')
if command -v groff >/dev/null; then
  warnings=$(groff -man -Tutf8 -ww "$root/share/man/man1/freshet.1" 2>&1 >/dev/null)
  [ -z "$warnings" ] || { echo "$warnings"; exit 1; }
fi
# A page for each command and topic, without a fault in its roff.
pages=0
while read -r page topic; do
  file="$root/share/man/man${page##*.}/$page"
  [ -s "$file" ] || { echo "no man page of $topic: $page"; exit 1; }
  if command -v groff >/dev/null; then
    warnings=$(groff -k -man -Tutf8 -ww "$file" 2>&1 >/dev/null)
    [ -z "$warnings" ] || { echo "$page: $warnings"; exit 1; }
  fi
  pages=$((pages + 1))
done < <("$root/bin/freshet" help --man)
[ "$pages" -ge 30 ] && [ -s "$root/share/man/man5/freshet.conf.5" ] || { echo "only $pages man pages"; exit 1; }

# Each public header alone, as C and as C++, with what a strict embedder turns on.
include_flags=(-I"$root/include" -Wall -Wextra -Wpedantic -Werror -fsyntax-only)
headers=0
for header in "$root"/include/freshet/*.h; do
  for language in "c -std=c11" "c -std=c17" "c++ -std=c++11" "c++ -std=c++20"; do
    read -ra as <<<"$language"
    compiler=$([ "${as[0]}" = c ] && echo cc || echo c++)
    "$compiler" -x "${as[@]}" "${include_flags[@]}" "$header" || { echo "does not compile as $language: $header"; exit 1; }
  done
  headers=$((headers + 1))
done
[ "$headers" -ge 7 ] || { echo "only $headers public headers"; exit 1; }
# A C++ program links with the C names.
cat >"$scratch/version.cc" <<'CODE'
#include <freshet/freshet.h>
#include <cstdio>
int main() { std::puts(freshet_version()); }
CODE
read -ra flags < <(PKG_CONFIG_PATH="$root/lib/pkgconfig" pkg-config --cflags --libs freshet)
c++ -std=c++17 "$scratch/version.cc" -o "$scratch/version" "${flags[@]}"
[ "freshet $("$scratch/version")" = "$version" ] || { echo "a C++ program prints another version"; exit 1; }

for compiler in cc clang; do
  command -v "$compiler" >/dev/null || continue
  "$compiler" -std=c17 -Wall -Wextra -Werror tests/integration/embed.c -o "$scratch/embed" "${flags[@]}"
  said=$("$scratch/embed")
  [ "$said" = "after tea: teapot" ] || { echo "the embedding program said: $said"; exit 1; }
done
echo "installed, moved, and embedded"
