package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// machine is a host that is up.
type machine struct {
	Host
	lab   *Lab
	uuid  string // as libvirt must know it: hosts of one machine would all have the same
	cmd   *exec.Cmd
	ended chan struct{} // closed when libvirtd has ended
}

func (m *machine) namespace() string { return m.lab.Namespace(m.Name) }
func (m *machine) dir() string       { return filepath.Join(m.lab.dir, "hosts", m.Name) }

// libvirtdScript runs with the host's name as $1 and its directory as $2, in
// namespaces of its own: libvirtd finds its directories there and nobody
// else's.
const libvirtdScript = `set -e
hostname "$1"
mount -t tmpfs tmpfs /run
for d in run/libvirt var/lib/libvirt etc/libvirt var/log/libvirt var/cache/libvirt; do
	mkdir -p "/$d" "$2/$d"
	mount --bind "$2/$d" "/$d"
done
exec libvirtd --listen
`

func (m *machine) up(ctx context.Context) error {
	if err := m.plug(ctx); err != nil {
		return err
	}
	if err := m.configure(); err != nil {
		return err
	}
	if err := m.startLibvirtd(); err != nil {
		return err
	}
	return m.awaitLibvirtd(ctx)
}

// configure writes the files of a libvirtd that listens on the host's address only.
func (m *machine) configure() error {
	etc := filepath.Join(m.dir(), "etc/libvirt")
	for _, d := range []string{etc, filepath.Join(m.lab.dir, "saved"), filepath.Join(m.dir(), "log")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("cannot configure %s: %v", m.Name, err)
		}
	}
	for name, text := range map[string]string{
		"libvirtd.conf": fmt.Sprintf("listen_tls = 0\nlisten_tcp = 1\nauth_tcp = \"none\"\nlisten_addr = %q\nhost_uuid = %q\n", m.IP, m.uuid),
		"qemu.conf": fmt.Sprintf("user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\ncgroup_controllers = []\nnamespaces = []\n"+
			"stdio_handler = \"file\"\nremember_owner = 0\nmigration_address = %q\n", m.IP),
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot configure %s: %v", m.Name, err)
		}
	}
	return nil
}

func (m *machine) startLibvirtd() error {
	log, err := os.Create(filepath.Join(m.dir(), "log", "libvirtd.log"))
	if err != nil {
		return fmt.Errorf("cannot start libvirtd of %s: %v", m.Name, err)
	}
	defer log.Close()
	m.cmd = exec.Command("ip", "netns", "exec", m.namespace(), "unshare", "-m", "-u", "--propagation", "private",
		"sh", "-c", libvirtdScript, "sh", m.Name, m.dir())
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := m.cmd.Start(); err != nil {
		return fmt.Errorf("cannot start libvirtd of %s: %v", m.Name, err)
	}
	renice(m.cmd.Process.Pid, libvirtdNice)
	m.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // reaps it; killAll ends it
		close(ended)
	}(m.cmd, m.ended)
	return nil
}

// awaitLibvirtd waits until libvirtd answers, and has it examine QEMU, which
// the first guest would have to wait for.
func (m *machine) awaitLibvirtd(ctx context.Context) error {
	err := until(ctx, time.Minute, 100*time.Millisecond, func(ctx context.Context) error {
		_, err := run(ctx, "ip", "netns", "exec", m.namespace(),
			"virsh", "-c", "qemu+tcp://"+m.IP.String()+"/system", "domcapabilities", "--virttype", "qemu")
		return err
	})
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(m.dir(), "log", "libvirtd.log"))
		return fmt.Errorf("cannot reach libvirtd of %s: %v\n%s", m.Name, err, log)
	}
	return nil
}
