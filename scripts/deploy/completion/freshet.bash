# bash completion for freshet. Commands, options and keys come from `freshet help` and `freshet config --defaults`, so
# this file knows no list of its own.
_freshet() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}" program="${COMP_WORDS[0]}"
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ] || { [ "$COMP_CWORD" -eq 2 ] && [ "${COMP_WORDS[1]}" = help ]; }; then
    mapfile -t COMPREPLY < <(compgen -W "$("$program" help 2>/dev/null | sed -n 's/^  \([a-z-]*\)  .*/\1/p')" -- "$current")
    return
  fi
  if [ "$previous" = -X ]; then
    compopt -o nospace
    mapfile -t COMPREPLY < <(compgen -S = -W "$("$program" config --defaults 2>/dev/null |
      sed -n 's/^\[\(.*\)\]$/\1/; t keep; s/^#\([a-z_.]*\) =.*/ \1/; t key; d; :keep; h; d; :key; G; s/^ \(.*\)\n\(.*\)/\2.\1/p')" -- "$current")
    return
  fi
  if [[ "$current" == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$("$program" help "${COMP_WORDS[1]}" 2>/dev/null |
      grep -oE '(^|[ [|])--?[A-Za-z][a-z-]*' | grep -oE -e '--?[A-Za-z][a-z-]*' | sort -u)" -- "$current")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -f -- "$current" 2>/dev/null)
}
complete -o filenames -o bashdefault -F _freshet freshet
