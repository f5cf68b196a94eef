#!/bin/sh
# Installs the Debian packages that the VM lab (make lab, make test-lab) is made of. Needs root.
set -eu

[ "$(id -u)" = 0 ] || { echo "lab-deps: needs root" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
packages="qemu-system-x86 qemu-utils libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients
	busybox-static linux-image-cloud-amd64 qemu-guest-agent iproute2 iptables iputils-arping
	debootstrap e2fsprogs haproxy tcpdump"
missing=""
for p in $packages; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "lab-deps: installing$missing"
apt-get update -q
# shellcheck disable=SC2086 # one word a package
apt-get install -q -y --no-install-recommends $missing
