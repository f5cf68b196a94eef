package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// settingsTemplate is the lab's settings.toml. Guests are small, so the
// thresholds are those of what they use when they serve nobody.
var settingsTemplate = template.Must(template.New("settings").Parse(`profile = "fast"

[fleet]
driver = "libvirt"

[management]
ip = "172.21.14.200"

[network]
references = ["172.21.14.210", "172.21.14.220"]

[measure]
samples = 1

[class]
look_ahead = false # conditions follow the load that the lab orders, by the published rules
light = 18
moderate = 30
light_streak = 2
ps2_accesses = 600
ps2_window = "20s"

[group.Mail]
type = "NETWORK"

[group.Web]
type = "CPU_NET"

[group.FTP]
type = "NETWORK"

[dbss]
budget_recoveries = 100 # faults are what the lab is for
backup_deadline = "60s"
{{if .Full}}# Real services on emulated processors greet late while others boot.
greet_timeout = "4s"
{{end}}
[brake]
max_resets = 100 # the same

[pss]
wake_deadline = "90s"

[libvirt]
uri = "{{.URI}}"
management_uri = "qemu+tcp://172.21.14.200/system"
definition = "{{.Definition}}"
save_path = "{{.SavePath}}"
suspend_command = ["{{.Lab}}", "--dir", "{{.Dir}}", "power", "suspend", "{ip}"]
restart_command = ["{{.Lab}}", "--dir", "{{.Dir}}", "power", "restart-libvirtd", "{ip}"]

[guest]
restart_command = ["lab-daemon", "restart", "{daemon}"]

[access]
source = "command"
command = ["ip", "netns", "exec", "{{.Balancer}}", "tcpdump", "-i", "eth0", "-Q", "out", "-U", "-w", "-", "tcp[tcpflags] & tcp-syn != 0"]
`))

// Sub is one of the directories of the programs: conf, run, state or log.
func (l *Lab) Sub(name string) string { return filepath.Join(l.dir, "site", name) }

// writeSite makes the directories of the programs. The configuration is that
// of the paper's system, from the directory paper, with the lab's own settings
// and MAC addresses; self is the executable that answers for real servers.
func (l *Lab) writeSite(paper, self string) error {
	for _, d := range []string{"run", "state", "log"} {
		if err := os.MkdirAll(l.Sub(d), 0o700); err != nil {
			return fmt.Errorf("cannot make the programs' directories: %v", err)
		}
	}
	if err := os.CopyFS(l.Sub("conf"), os.DirFS(paper)); err != nil {
		return fmt.Errorf("cannot copy %s: %v", paper, err)
	}
	all, err := filepath.Glob(filepath.Join(l.Sub("conf"), "*"))
	if err != nil {
		return err
	}
	for _, name := range all {
		if err := l.replaceMACs(name); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	err = settingsTemplate.Execute(&b, map[string]any{
		"URI": l.URI(), "Definition": l.Definition(), "SavePath": l.SavePath(),
		"Full": l.plan.Disk != "", "Lab": self, "Dir": l.dir, "Balancer": l.Namespace(loadBalancer),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.Sub("conf"), "settings.toml"), b.Bytes(), 0o644)
}

// replaceMACs puts the locally administered addresses of the lab's real
// servers in the place of the paper's.
func (l *Lab) replaceMACs(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text := string(b)
	for i, h := range l.plan.reals() {
		text = strings.ReplaceAll(text, fmt.Sprintf("00:00:00:00:00:%02d", i+1), h.MAC.String())
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// reals are the hosts but the management server.
func (p Plan) reals() []Host {
	var out []Host
	for _, h := range p.Hosts {
		if h.Name != management {
			out = append(out, h)
		}
	}
	return out
}

const balancerHead = `global
	maxconn 2000
defaults
	mode tcp
	balance roundrobin
	option redispatch 1
	retries 5
	timeout connect 400ms
	timeout client 30s
	timeout server 30s
	timeout check 900ms
listen stats
	bind %s:8404
	mode http
	stats enable
	stats uri /
`

// checks are how HAProxy finds out whether a service greets; one that is
// stopped still accepts connections.
var checks = map[int]string{
	25: "\toption tcp-check\n\ttcp-check connect\n\ttcp-check expect rstring ^220\n",
	21: "\toption tcp-check\n\ttcp-check connect\n\ttcp-check expect rstring ^220\n",
	80: "\toption httpchk HEAD /\n",
}

// balancerConfig is HAProxy over the six VIPs: round robin, each VIP checked
// once a second on the first port of its group.
func balancerConfig() string {
	var b strings.Builder
	fmt.Fprintf(&b, balancerHead, address(210))
	for _, s := range services {
		for i, port := range s.ports {
			fmt.Fprintf(&b, "listen %s-%d\n\tbind %v:%d\n%s", s.group, port, address(210), port, checks[port])
			for _, home := range s.homes {
				check := "check inter 1s fall 3 rise 1 on-marked-down shutdown-sessions"
				if i > 0 {
					check = fmt.Sprintf("track %s-%d/vip%d", s.group, s.ports[0], 100+home)
				}
				fmt.Fprintf(&b, "\tserver vip%d %v:%d %s\n", 100+home, address(100+home), port, check)
			}
		}
	}
	return b.String()
}
