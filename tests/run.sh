#!/bin/sh
# Every test, or what the arguments name. Tests of whole processes wait more than they work: they
# run beside the others, and what they said comes last.
set -u
python=.venv/bin/python
[ $# -gt 0 ] && exec $python -m pytest "$@"

# thousands of small databases wait for the disk otherwise; what is killed leaves its pages behind
# there as it does on a disk, and tests that need a disk of their own mount one
memory=/dev/shm
free_kib=$(df -Pk "$memory" 2>/dev/null | awk 'NR == 2 { print $4 }')
if [ -w "$memory" ] && [ "${free_kib:-0}" -gt 6291456 ]; then
    TMPDIR=$(mktemp -d "$memory/hutong-test-XXXXXX")
    export TMPDIR
    # the database server's own user must reach it
    chmod 755 "$TMPDIR"
else
    memory=
fi
log=$(mktemp)
clean() {
    rm -f "$log"
    [ -z "$memory" ] || rm -rf "$TMPDIR"
}

$python -m pytest tests/e2e tests/faults >"$log" 2>&1 &
processes=$!
trap 'kill $processes 2>/dev/null; clean; exit 130' INT TERM
$python -m pytest tests --ignore=tests/e2e --ignore=tests/faults
others=$?
echo "waiting for the tests of whole processes (tests/e2e, tests/faults)"
wait $processes
result=$?
cat "$log"
clean
[ $others -eq 0 ] && [ $result -eq 0 ]
