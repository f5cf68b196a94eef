package record

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/notes"
)

// Starts are the guests that pss is having run on a real server: start-HOST.json in
// the state directory, from before the command until its outcome is known. One that
// is left tells that pss was killed in between: the guest may run there, or come to.
//
// The zero Starts keeps no record.
type Starts struct {
	Dir  string     // the state directory
	Disk notes.Disk // where that is; nil: of the operating system
}

const (
	startPrefix = "start-"
	startSuffix = ".json"
)

func (s Starts) path(host string) string {
	return filepath.Join(s.Dir, startPrefix+host+startSuffix)
}

// Add notes that g is about to be run on its real server.
func (s Starts) Add(g cluster.Guest) error {
	if s.Dir == "" {
		return nil
	}
	if err := Write(s.Disk, s.path(g.Host), g); err != nil {
		return fmt.Errorf("cannot record the start of %s: %v", g.Host, err)
	}
	return nil
}

// Remove forgets the start of a guest; there need not be one.
func (s Starts) Remove(host string) error {
	if s.Dir == "" {
		return nil
	}
	if err := notes.On(s.Disk).Remove(s.path(host)); err != nil {
		return fmt.Errorf("cannot forget the start of %s: %v", host, err)
	}
	return nil
}

// All are the guests that are being started, by name. A record that cannot be read
// is left out.
func (s Starts) All() ([]cluster.Guest, error) {
	if s.Dir == "" {
		return nil, nil
	}
	names, err := notes.On(s.Disk).List(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list starts: %w", err)
	}
	var out []cluster.Guest
	for _, name := range names {
		host, is := strings.CutPrefix(strings.TrimSuffix(name, startSuffix), startPrefix)
		if !is {
			continue
		}
		var g cluster.Guest
		b, err := notes.On(s.Disk).Read(s.path(host), notes.MaxSize)
		if err == nil && json.Unmarshal(b, &g) == nil && g.Host == host {
			out = append(out, g)
		}
	}
	return out, nil
}
