#!/bin/sh
# Installs Chromium for the tests of pages where this can be done without asking: as root, with apt-get.
set -eu
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "set-up: installing chromium and chromium-driver for the tests of pages ..."
  log=$(mktemp)
  if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium chromium-driver fonts-dejavu-core; } >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  tail -n 3 "$log" >&2
fi
echo "set-up: without chromium and chromedriver the tests of pages are skipped (Debian: apt install chromium chromium-driver)." >&2
