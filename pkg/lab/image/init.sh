#!/bin/sh
# A full guest's first process. The kernel's command line names the guest, its
# address and its daemons; they are started directly, as the packages' start
# scripts take half a minute on an emulated processor.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /run
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /dev/shm /run/lock /run/apache2 /run/vsftpd/empty /run/dovecot
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd
for w in $(cat /proc/cmdline); do
	case "$w" in
	lab.name=*) name=${w#*=} ;;
	lab.ip=*) ip=${w#*=} ;;
	lab.daemons=*) daemons=$(echo "${w#*=}" | tr , ' ') ;;
	esac
done
hostname "$name"
echo "127.0.0.1 localhost $name" >/etc/hosts
echo "$name" >/etc/mailname
echo "$name" >/var/www/html/index.html
# Every greeting says who greets. Written anew in memory at each boot: what a
# guest has appended to a file and not flushed when it is killed comes back as
# zeros, which no daemon takes for its configuration.
{ cat /etc/postfix/main.cf.lab && echo "myhostname = $name"; } >/run/main.cf
{ cat /etc/dovecot/local.conf.lab && echo "login_greeting = $name"; } >/run/local.conf
{ cat /etc/vsftpd.conf.lab && echo "ftpd_banner=$name"; } >/run/vsftpd.conf
ip link set lo up
ip addr add "$ip/24" dev eth0
ip link set eth0 up
(
	for d in $daemons; do lab-daemon restart "$d" & done
	wait
	echo "lab: up" >/dev/console
) &
while :; do
	for p in /sys/class/virtio-ports/*; do
		[ "$(cat "$p/name")" = org.qemu.guest_agent.0 ] && qemu-ga -m virtio-serial -p "/dev/${p##*/}" -t /run
	done
	sleep 1
done
