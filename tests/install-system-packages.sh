#!/bin/sh
# Installs the packages of system-packages.txt that are missing, where that is allowed.
set -eu

list=$(dirname "$0")/system-packages.txt
command -v dpkg-query >/dev/null 2>&1 || {
    echo "system packages: no Debian system; see $list for what the tests need"
    exit 0
}

missing=
for package in $(sed 's/#.*//' "$list"); do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "system packages: missing and not installed (neither root nor sudo):$missing"
        exit 0
    fi
fi

install_missing() {
    # postgresql and mosquitto would start services of their own; the tests start theirs
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1
}

echo "system packages: installing$missing"
if ! install_missing; then
    $as_root apt-get update -qq >/dev/null 2>&1 || true
    install_missing || echo "system packages: apt-get could not install:$missing"
fi
exit 0
