package lab

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// programs are what the lab needs on the machine.
var programs = []string{"ip", "unshare", "busybox", "virsh", "libvirtd", "qemu-system-x86_64", "qemu-ga", "iptables"}

// modules are what a guest's kernel lacks, in the order in which they load.
var modules = []string{
	"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk",
	"failover", "net_failover", "virtio_net", "virtio_console",
}

func missingPrograms() []string {
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if _, err := kernel(); err != nil {
		missing = append(missing, "linux-image-cloud-amd64")
	}
	return missing
}

// kernel is the newest installed kernel made for virtual machines.
func kernel() (string, error) {
	all, err := filepath.Glob("/boot/vmlinuz-*-cloud-amd64")
	if err != nil || len(all) == 0 {
		return "", fmt.Errorf("cannot find a kernel for guests in /boot")
	}
	slices.Sort(all)
	return all[len(all)-1], nil
}

// initScript is a guest's first process. The kernel's command line names the guest.
const initScript = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /var/run /usr/bin /usr/sbin /www
/bin/busybox --install -s
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
case "$(cat /proc/cmdline)" in *lab.trial=1*)
	echo "` + bootedMark + `" >/dev/console
	poweroff -f
	;;
esac
echo "` + bootMark + `" >/dev/console
for m in /modules/*; do insmod "$m"; done
if [ -b /dev/vda ]; then # a full guest
	mkdir -p /full
	mount -t ext4 /dev/vda /full && mount --move /dev /full/dev && umount /proc /sys && exec switch_root /full /sbin/lab-init
fi
for w in $(cat /proc/cmdline); do
	case "$w" in
	lab.name=*) name=${w#*=} ;;
	lab.ip=*) ip=${w#*=} ;;
	lab.daemons=*) daemons=$(echo "${w#*=}" | tr , ' ') ;;
	esac
done
hostname "$name"
echo "$name" >/www/index.html
ip link set lo up
ip addr add "$ip/24" dev eth0
ip link set eth0 up
for d in ${daemons:-httpd}; do lab-daemon restart "$d"; done
echo "` + upMark + `" >/dev/console
while :; do
	for p in /sys/class/virtio-ports/*; do
		[ "$(cat "$p/name")" = org.qemu.guest_agent.0 ] && qemu-ga -m virtio-serial -p "/dev/${p##*/}" -t /run
	done
	sleep 1
done
`

// smallScripts are what small guests have in the place of programs.
//
//go:embed small/lab-daemon.sh small/sar.sh image/fill-memory.sh
var smallScripts embed.FS

// shutdownScript is what the agent's guest-shutdown runs.
const shutdownScript = "#!/bin/busybox sh\nexec poweroff -f\n"

// buildImage writes the initial file system that all guests boot from.
func (l *Lab) buildImage(ctx context.Context) error {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return fmt.Errorf("cannot build the guest image: %v", err)
	}
	var archive bytes.Buffer
	w := &cpio{w: &archive}
	if err := fillImage(ctx, w); err != nil {
		return fmt.Errorf("cannot build the guest image: %w", err)
	}
	f, err := os.Create(l.image())
	if err != nil {
		return fmt.Errorf("cannot build the guest image: %v", err)
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err == nil {
		_, err = z.Write(archive.Bytes())
	}
	for _, c := range []io.Closer{z, f} {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

func (l *Lab) image() string { return filepath.Join(l.dir, "initrd.img") }

func fillImage(ctx context.Context, w *cpio) error {
	w.file("init", 0o755, []byte(initScript))
	w.dir("bin")
	w.dir("sbin")
	for name, from := range map[string]string{"lab-daemon": "small/lab-daemon.sh", "sar": "small/sar.sh", "fill-memory": "image/fill-memory.sh"} {
		b, err := smallScripts.ReadFile(from)
		if err != nil {
			return err
		}
		w.file("sbin/"+name, 0o755, b)
	}
	w.file("sbin/shutdown", 0o755, []byte(shutdownScript))
	if err := w.program("busybox", "bin/busybox"); err != nil {
		return err
	}
	if err := w.program("qemu-ga", "bin/qemu-ga"); err != nil {
		return err
	}
	if err := addLibraries(ctx, w, "qemu-ga"); err != nil {
		return err
	}
	return addModules(w)
}

// addLibraries adds the shared libraries of a program, where it expects them.
func addLibraries(ctx context.Context, w *cpio, name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	out, err := run(ctx, "ldd", path)
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(out) {
		if !filepath.IsAbs(word) {
			continue
		}
		b, err := os.ReadFile(word)
		if err != nil {
			return err
		}
		w.parents(word[1:])
		w.file(word[1:], 0o755, b)
	}
	return nil
}

// addModules adds the kernel modules, their names numbered in load order.
func addModules(w *cpio) error {
	k, err := kernel()
	if err != nil {
		return err
	}
	found := map[string]string{}
	root := filepath.Join("/lib/modules", strings.TrimPrefix(filepath.Base(k), "vmlinuz-"), "kernel")
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			found[name] = path
		}
		return err
	})
	if err != nil {
		return err
	}
	w.dir("modules")
	for i, m := range modules {
		b, err := os.ReadFile(found[m])
		if err != nil {
			return fmt.Errorf("no module %s: %v", m, err)
		}
		w.file(fmt.Sprintf("modules/%02d-%s.ko", i, m), 0o644, b)
	}
	return w.end()
}
