#!/bin/sh
# Builds the root file system of the full guests: build.sh SUITE DIRECTORY IMAGE.
# Runs in mount and process namespaces of its own, so that nothing stays mounted.
set -eu
suite=$1 root=$2 image=$3
here=$(dirname "$0")
packages=postfix,dovecot-imapd,apache2,vsftpd,sysstat,qemu-guest-agent,iproute2,iputils-arping,procps,busybox-static

rm -rf "$root"
debootstrap --variant=minbase --include="$packages" "$suite" "$root"
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/var/cache/apt "$root"/var/lib/apt/lists

install -m 0755 "$here/init.sh" "$root/sbin/lab-init"
install -m 0755 "$here/lab-daemon.sh" "$root/usr/local/sbin/lab-daemon"
install -m 0755 "$here/fill-memory.sh" "$root/usr/local/sbin/fill-memory"

# Daemons do without what costs an emulated processor dearly: a process, or a
# network namespace, for every connection.

# Mail: everything for this host goes to the user lab, whose mailbox IMAP shows.
chroot "$root" useradd -m -s /bin/sh lab
postconf() { chroot "$root" postconf -e "$@"; }
postconf 'inet_interfaces = all' 'mydestination = $myhostname, localhost, lab.test' 'luser_relay = lab' 'local_recipient_maps =' \
	'home_mailbox = Maildir/' 'smtputf8_enable = no' 'mynetworks = 127.0.0.0/8 172.21.14.0/24' 'alias_maps =' 'alias_database =' \
	'maillog_file = /var/log/mail.log' 'compatibility_level = 3.6' 'smtpd_peername_lookup = no' \
	'inet_protocols = ipv4' 'smtpd_tls_security_level = none' 'smtp_tls_security_level = none'
chroot "$root" postconf -F '*/*/chroot = n'
cat >"$root/etc/dovecot/local.conf" <<'END'
protocols = imap
listen = *
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
log_path = /var/log/dovecot.log
service imap-login {
  service_count = 0
  process_min_avail = 1
}
passdb {
  driver = static
  args = password=lab
}
END
echo 'ServerName localhost' >>"$root/etc/apache2/apache2.conf"
cat >"$root/etc/vsftpd.conf" <<'END'
listen=YES
anonymous_enable=YES
no_anon_password=YES
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
END
echo 'The lab serves this by FTP.' >"$root/srv/ftp/README"
# What a guest adds to these it writes in memory.
for f in postfix/main.cf dovecot/local.conf vsftpd.conf; do
	mv "$root/etc/$f" "$root/etc/$f.lab"
	ln -s "/run/${f##*/}" "$root/etc/$f"
done

rm -f "$image.new"
truncate -s 1G "$image.new"
mkfs.ext4 -q -F -d "$root" -E lazy_itable_init=1 "$image.new"
rm -rf "$root"
mv "$image.new" "$image"
