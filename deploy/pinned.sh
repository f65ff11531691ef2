#!/bin/sh
# Refuses an image reference that is not NAME@sha256:… in full; a tag is another image tomorrow.
set -eu
pinned() {
  [ "$(printf '%s' "$1" | wc -l)" -eq 0 ] &&
    printf '%s' "$1" | grep -Eqx '[a-z0-9][a-zA-Z0-9._/:-]*@sha256:[0-9a-f]{64}'
}
if [ "$#" -ne 1 ] || ! pinned "$1"; then
  echo "not pinned: '${1:-}', expected NAME@sha256: and 64 hex digits" >&2
  exit 1
fi
