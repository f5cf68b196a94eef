#!/bin/sh
# fill-memory PERCENT [TURN]: fills this server's memory up to PERCENT, with what a
# program uses; 0 lets go of it. Who gave an order up gives it again while it is still
# under way: they run one at a time, and one whose TURN is over does nothing.
cd "${FILL_MEMORY:-/run}" || exit 1
until mkdir fill-memory.lock 2>/dev/null; do sleep 0.1; done
trap 'rmdir fill-memory.lock' EXIT
if [ -n "$2" ]; then
	[ ! -f fill-memory.turn ] || [ "$2" -ge "$(cat fill-memory.turn)" ] || exit 0
	echo "$2" >fill-memory.turn
fi
if [ -f fill-memory.pid ]; then
	kill -9 "$(cat fill-memory.pid)" 2>/dev/null
	rm -f fill-memory.pid
	sleep 0.2
fi
[ "$1" != 0 ] || exit 0
set -- "$1" $(free -k | awk '/^Mem:/ { print $2, $3 }')
want=$(($2 * $1 / 100 - $3))
[ "$want" -gt 0 ] || exit 0
# dd reads all of it before it writes, and nobody reads what it writes.
[ -p fill-memory.pipe ] || mkfifo fill-memory.pipe
dd if=/dev/zero bs="${want}K" count=1 </dev/null 1<>fill-memory.pipe 2>/dev/null &
echo $! >fill-memory.pid
