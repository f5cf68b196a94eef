package lab

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"time"
)

// kvmLimit is how long a processor that works may take to boot the kernel and
// switch the guest off.
const kvmLimit = 8 * time.Second

// bootedMark is what the first process of a guest says that was booted to see
// whether it boots.
const bootedMark = "lab: it boots"

// kvmBoots reports whether KVM boots the guests' kernel. That /dev/kvm can be
// opened, and makes virtual machines, says little: in some nested machines none
// ever boots.
func (l *Lab) kvmBoots(ctx context.Context) bool {
	k, err := kernel()
	if _, kerr := os.Stat("/dev/kvm"); err != nil || kerr != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, kvmLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "160", "-nodefaults", "-no-user-config",
		"-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", k, "-initrd", l.image(),
		"-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off lab.trial=1").Output()
	return err == nil && strings.Contains(string(out), bootedMark)
}
