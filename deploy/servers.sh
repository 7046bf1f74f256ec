#!/usr/bin/env bash
# `make servers`: install, from Debian's packages, the servers that tests run beside Undertone, what Kafka needs, the
# judges of compose files and of audio, and a browser, unless they are here. Daemons are not started: tests start servers
# of their own on free ports.
set -euo pipefail
packages=(prometheus prometheus-alertmanager redis-server default-jre-headless maven docker-compose sox chromium postgresql softhsm2)
programs=(prometheus prometheus-alertmanager redis-server java mvn docker-compose sox chromium /usr/lib/postgresql softhsm2-util)
missing=()
for i in "${!packages[@]}"; do
  # Debian keeps the programs of PostgreSQL in a folder of its version.
  command -v "${programs[$i]}" >/dev/null || [ -d "${programs[$i]}" ] || missing+=("${packages[$i]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
install="apt-get update && apt-get install --yes --no-install-recommends ${missing[*]}"
if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
  # A run level of 1 keeps Debian's packages from starting what they install.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive bash -c "$install" >/dev/null
else
  echo "missing here: ${missing[*]}. On Debian: sudo sh -c '$install'" >&2
  exit 1
fi
