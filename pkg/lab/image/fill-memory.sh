#!/bin/sh
# Fills this server's memory up to $1 percent, with what a program uses; 0 lets go of it.
pid=/run/fill-memory.pid
if [ -f $pid ]; then
	kill "$(cat $pid)" 2>/dev/null
	rm -f $pid
	sleep 0.2
fi
[ "$1" != 0 ] || exit 0
set -- "$1" $(free -k | awk '/^Mem:/ { print $2, $3 }')
want=$(($2 * $1 / 100 - $3))
[ "$want" -gt 0 ] || exit 0
# dd reads all of it before it writes, and nobody reads what it writes.
dd if=/dev/zero bs="${want}K" count=1 </dev/null 2>/dev/null | sleep 1000000 >/dev/null 2>&1 &
echo $! >$pid
