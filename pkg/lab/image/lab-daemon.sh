#!/bin/sh
# lab-daemon restart|stop|freeze DAEMON. A restart ends one that is stopped, too.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
# Not anvil, which both have: the other's would be started anew again and again.
case "$2" in
postfix) all='master smtpd pickup qmgr cleanup local trivial-rewrite tlsmgr postlogd showq bounce' ;;
dovecot) all='dovecot imap imap-login auth log config stats' ;;
httpd) all=apache2 ;;
vsftpd) all=vsftpd ;;
*)
	echo "lab-daemon: no daemon $2" >&2
	exit 1
	;;
esac
case "$1" in
freeze)
	kill -STOP $(busybox pidof $all)
	exit 0
	;;
stop | restart)
	while pids=$(busybox pidof $all); do
		kill -9 $pids 2>/dev/null # some may have gone with their parent
		sleep 0.02
	done
	;;
*)
	echo "lab-daemon: cannot $1" >&2
	exit 1
	;;
esac
[ "$1" = restart ] || exit 0
case "$2" in
postfix)
	rm -f /var/spool/postfix/pid/master.pid
	/usr/lib/postfix/sbin/master </dev/null >/dev/null 2>&1 &
	;;
dovecot)
	rm -f /run/dovecot/master.pid
	exec dovecot
	;;
httpd)
	rm -f /run/apache2/apache2.pid
	. /etc/apache2/envvars
	exec apache2 -k start </dev/null >/dev/null 2>&1
	;;
vsftpd)
	vsftpd /etc/vsftpd.conf </dev/null >/dev/null 2>&1 &
	;;
esac
