package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// domainTemplate describes a guest: no disk, one network card, an agent. It
// runs without hardware virtualization, as that is what works everywhere.
var domainTemplate = template.Must(template.New("domain").Parse(`<domain type='qemu'>
  <name>{{.Host}}</name>
  <memory unit='MiB'>160</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{{.Kernel}}</kernel>
    <initrd>{{.Initrd}}</initrd>
    <cmdline>console=ttyS0 quiet panic=1 nokaslr mitigations=off lab.name={{.Host}} lab.ip={{.IP}}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model></cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
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
		ip := s.IP.As4()
		var b strings.Builder
		err := domainTemplate.Execute(&b, map[string]string{
			"Host": s.Host, "IP": s.IP.String(), "Kernel": k, "Initrd": l.image(),
			"MAC":     fmt.Sprintf("52:54:00:00:%02x:%02x", ip[2], ip[3]),
			"Console": filepath.Join(l.dir, "consoles", s.Host+".log"),
		})
		if err == nil {
			err = os.WriteFile(strings.ReplaceAll(l.Definition(), "{host}", s.Host), []byte(b.String()), 0o644)
		}
		if err != nil {
			return fmt.Errorf("cannot define %s: %v", s.Host, err)
		}
	}
	return nil
}
