package ipc

import (
	"fmt"
	"strings"

	"pss-msbs/pkg/cluster"
)

// needs lists what a verb must bring; the table is also the list of verbs.
var needs = map[Verb]struct{ host, backup, real, outcome, dat bool }{
	A1: {host: true}, A2: {host: true}, A3: {host: true},
	A4: {host: true, backup: true, real: true}, A4Failed: {host: true},
	A5:   {host: true, outcome: true},
	Hold: {host: true}, Release: {},
	B1: {real: true}, B2: {real: true}, B3: {real: true}, B4: {real: true},
	SpareStart: {dat: true}, SpareStop: {}, Watch: {},
}

// Validate refuses a request that no sif could do: it lacks what its verb needs,
// or names what can be no name.
func (r Request) Validate() error {
	need, ok := needs[r.Verb]
	if !ok {
		return fmt.Errorf("cannot do %q: unknown verb", r.Verb)
	}
	var missing []string
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"host", need.host && r.Host == ""}, {"backup", need.backup && r.Backup == nil},
		{"real", need.real && !r.Real.IsValid()}, {"outcome", need.outcome && r.Outcome == ""},
		{"dat", need.dat && r.Dat == nil},
	} {
		if f.missing {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("cannot do %s: the request lacks %s", r.Verb, strings.Join(missing, ", "))
	}
	if r.Verb == A5 && r.Outcome != Recovered && !r.Real.IsValid() {
		return fmt.Errorf("cannot do A5 %s: the request lacks real", r.Outcome)
	}
	return r.validateNames()
}

func (r Request) validateNames() error {
	names := []string{r.Host}
	servers := []*Server{r.Backup}
	for i := range r.Servers {
		servers = append(servers, &r.Servers[i].Target, r.Servers[i].Backup)
	}
	for _, s := range servers {
		if s == nil {
			continue
		}
		if names = append(names, s.Host, s.Group); !s.IP.IsValid() || s.Host == "" {
			return fmt.Errorf("cannot do %s: a server of the request lacks its host or IP", r.Verb)
		}
	}
	for _, n := range names {
		if n == "" {
			continue
		}
		if err := cluster.CheckName(n); err != nil {
			return fmt.Errorf("cannot do %s: %v", r.Verb, err)
		}
	}
	return nil
}
