#!/bin/sh
# Every test, or what the arguments name. Tests of whole processes wait more than they work: they
# run beside the others, and what they said comes last.
set -u
python=.venv/bin/python
[ $# -gt 0 ] && exec $python -m pytest "$@"

log=$(mktemp)
$python -m pytest tests/e2e tests/faults >"$log" 2>&1 &
processes=$!
trap 'kill $processes 2>/dev/null; rm -f "$log"; exit 130' INT TERM
$python -m pytest tests --ignore=tests/e2e --ignore=tests/faults
others=$?
echo "waiting for the tests of whole processes (tests/e2e, tests/faults)"
wait $processes
result=$?
cat "$log"
rm -f "$log"
[ $others -eq 0 ] && [ $result -eq 0 ]
