package check

import (
	"strings"
	"testing"
)

// References that answer, or are silent, whatever the network does.
func TestReferences(t *testing.T) {
	const at = "settings.toml:17: warning: [network] references"
	tests := map[string]struct{ to, want string }{
		"sound ones":        {`["172.21.14.210", "10.0.0.1"]`, ""},
		"none":              {`[]`, at + " is empty: a management server that is cut off takes sound servers for dead"},
		"ourselves":         {`["172.21.14.200"]`, at + ": 172.21.14.200 proves nothing: it is the management server itself, which always answers itself"},
		"loopback":          {`["127.0.0.1"]`, at + ": 127.0.0.1 proves nothing: a loopback address always answers"},
		"loopback of IPv6":  {`["::1"]`, at + ": ::1 proves nothing: a loopback address always answers"},
		"mapped":            {`["::ffff:172.21.14.200"]`, at + ": ::ffff:172.21.14.200 proves nothing: it is the management server itself, which always answers itself"},
		"nobody":            {`["0.0.0.0"]`, at + ": 0.0.0.0 proves nothing: it is no address of a host"},
		"a VIP":             {`["172.21.14.101"]`, at + ": 172.21.14.101 proves nothing: it is a VIP, which is silent when its server fails"},
		"a server":          {`["172.21.14.4"]`, at + ": 172.21.14.4 proves nothing: it is the address of M2, which may be what fails"},
		"a backup":          {`["172.21.14.61"]`, at + ": 172.21.14.61 proves nothing: it is the address of Mb, which may be what fails"},
		"a spare":           {`["172.21.14.52"]`, at + ": 172.21.14.52 proves nothing: it is the address of Ws, which may be what fails"},
		"a real server":     {`["172.21.14.203"]`, at + ": 172.21.14.203 proves nothing: it is a real server, which may be asleep"},
		"one of two":        {`["172.21.14.210", "172.21.14.101"]`, at + ": 172.21.14.101 proves nothing: it is a VIP, which is silent when its server fails"},
		"one of them twice": {`["172.21.14.210", "172.21.14.210"]`, at + ": 172.21.14.210 stands there twice"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := paper(t)
			edit(t, dir, "settings.toml", "light = 30 ", "light = 20 ")
			edit(t, dir, "settings.toml", `["172.21.14.210", "172.21.14.220"]`, tt.to)
			rep := run(t, dir)
			if got := lines(rep.Faults, dir) + lines(rep.Warnings, dir); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// Where the key does not stand its table is named, or the file.
func TestNoReferencesAtAll(t *testing.T) {
	dir := paper(t)
	edit(t, dir, "settings.toml", "references =", "# references =")
	if got := lines(run(t, dir).Warnings, dir); !strings.Contains(got, "settings.toml:16: warning: [network] references is empty") {
		t.Errorf("got\n%s", got)
	}
}
