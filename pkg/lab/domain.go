package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// domainTemplate describes a guest: one network card, an agent, and a disk unless it
// lives in memory. Without KVM its processor is emulated, by translations that
// QEMU would keep up to a gigabyte of.
var domainTemplate = template.Must(template.New("domain").Parse(`<domain type='{{if .KVM}}kvm{{else}}qemu{{end}}'>
  <name>{{.Host}}</name>
  <memory unit='MiB'>{{.Memory}}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{{.Kernel}}</kernel>
    <initrd>{{.Initrd}}</initrd>
    <cmdline>console=ttyS0 quiet panic=1 nokaslr mitigations=off lab.name={{.Host}} lab.ip={{.IP}} lab.daemons={{.Daemons}}</cmdline>
  </os>
  <features><acpi/><apic/>{{if not .KVM}}<tcg><tb-cache unit='MiB'>96</tb-cache></tcg>{{end}}</features>
  {{if .KVM}}<cpu mode='host-passthrough'/>{{else}}<cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model></cpu>{{end}}
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>{{if .Disk}}
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='{{.Disk}}'/>
      <target dev='vda' bus='virtio'/>
    </disk>{{end}}
    <interface type='bridge'>
      <mac address='{{.MAC}}'/>
      <source bridge='br0'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <serial type='file'><source path='{{.Console}}'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <memballoon model='none'/>
  </devices>
</domain>
`))

// The memory of guests, in MiB: M_max, nearly.
const (
	smallMemory = 160
	fullMemory  = 256
)

// writeDefinitions writes the domain XML of every server.
func (l *Lab) writeDefinitions() error {
	k, err := kernel()
	if err != nil {
		return err
	}
	for _, d := range []string{"domains", "consoles"} {
		if err := os.MkdirAll(filepath.Join(l.dir, d), 0o755); err != nil {
			return fmt.Errorf("cannot define the servers: %v", err)
		}
	}
	for _, s := range l.plan.Servers {
		if err := l.writeDefinition(s, k); err != nil {
			return fmt.Errorf("cannot define %s: %v", s.Host, err)
		}
	}
	return nil
}

func (l *Lab) writeDefinition(s Server, kernel string) error {
	ip := s.IP.As4()
	memory, disk := smallMemory, ""
	if l.plan.Disk != "" {
		memory, disk = fullMemory, l.disk(s.Host)
	}
	var b strings.Builder
	err := domainTemplate.Execute(&b, map[string]any{
		"Host": s.Host, "IP": s.IP.String(), "Kernel": kernel, "Initrd": l.image(),
		"MAC":     fmt.Sprintf("52:54:00:00:%02x:%02x", ip[2], ip[3]),
		"Console": l.console(s.Host),
		"Memory":  memory, "Disk": disk, "KVM": l.kvm, "Daemons": strings.Join(s.Daemons, ","),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(strings.ReplaceAll(l.Definition(), "{host}", s.Host), []byte(b.String()), 0o644)
}

// console is where a guest's serial line is written to.
func (l *Lab) console(host string) string { return filepath.Join(l.dir, "consoles", host+".log") }

// disk is where a full guest's overlay lies, which all hosts share.
func (l *Lab) disk(host string) string { return filepath.Join(l.dir, "disks", host+".qcow2") }
