#!/bin/busybox sh
# lab-daemon restart|stop|freeze DAEMON. Mail and FTP servers only greet here.
pid=/run/$2.pid
tell() {
	if [ "$2" = httpd ]; then killall "$1" httpd; else kill "$1" "$(cat "$pid")"; fi 2>/dev/null
}
case "$2" in
httpd) ;;
postfix) port=25 greeting='220 lab ESMTP' ;;
dovecot) port=143 greeting='* OK lab IMAP4rev1' ;;
vsftpd) port=21 greeting='220 lab FTP' ;;
*)
	echo "lab-daemon: no daemon $2" >&2
	exit 1
	;;
esac
case "$1" in
freeze) tell -STOP "$2" ;;
stop | restart) tell -9 "$2" ;;
*)
	echo "lab-daemon: cannot $1" >&2
	exit 1
	;;
esac
[ "$1" = restart ] || exit 0
[ "$2" != httpd ] || exec httpd -p 80 -h /www
cat >"/run/greet-$2" <<END
#!/bin/busybox sh
echo '$greeting $(hostname)'
read -t 20 line
END
chmod 755 "/run/greet-$2"
nc -ll -p $port -e "/run/greet-$2" </dev/null >/dev/null 2>&1 &
echo $! >"$pid"
