// Package check finds what is wrong in a configuration directory: in
// settings.toml, the seven PSS files, the .dat files, and between them
// (SPEC 3). It is what `pss check` prints.
package check

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/diag"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
)

// Report is what stands against a directory: faults make it invalid, warnings do not.
type Report struct {
	Faults   diag.List
	Warnings diag.List
}

// Dir checks the directory conf, the seven files under the shared lock.
func Dir(ctx context.Context, conf *conffile.Dir) (Report, error) {
	snap, faults, err := conf.Snapshot(ctx)
	if err != nil {
		return Report{}, err
	}
	return report(conf.Path(), snap, faults)
}

// Contents checks the directory as it would be with these seven files.
func Contents(dir string, files map[string][]byte) (Report, error) {
	snap, faults := conffile.Parse(dir, files)
	return report(dir, snap, faults)
}

func report(dir string, snap *conffile.Snapshot, faults diag.List) (Report, error) {
	set, err := settings.Read(filepath.Join(dir, settings.File))
	if err := collect(&faults, err); err != nil {
		return Report{}, err
	}
	dats, err := mgmtdata.ReadDir(dir)
	if err := collect(&faults, err); err != nil && !errors.Is(err, fs.ErrNotExist) { // then the seven files are missing
		return Report{}, err
	}
	c := newChecker(dir, snap, dats)
	c.check()
	rep := Report{Faults: append(faults, c.faults...).Sorted()}
	if len(rep.Faults) == 0 {
		rep.Warnings = c.warnings(set)
	}
	return rep, nil
}

// collect takes err apart: faults are collected, anything else is handed back.
func collect(faults *diag.List, err error) error {
	var l *diag.List
	if errors.As(err, &l) {
		*faults = append(*faults, *l...)
		return nil
	}
	return err
}

// place is a line that says something.
type place struct {
	file string
	line int
}

// server is one virtual or backup server's .dat.
type server struct {
	mgmtdata.Server
	file string
}

// realServer is one real server's .dat.
type realServer struct {
	mgmtdata.Real
	file string
}

type checker struct {
	dir     string
	snap    *conffile.Snapshot
	servers []server // in order of file names
	reals   []realServer
	faults  diag.List

	homes   map[string]server // home servers and spares with a VIP of their own, by host
	backups map[string]server // by the backup's host: the server that it stands in for
}

func newChecker(dir string, snap *conffile.Snapshot, dats mgmtdata.Dir) *checker {
	c := &checker{dir: dir, snap: snap, homes: map[string]server{}, backups: map[string]server{}}
	for _, path := range slices.Sorted(maps.Keys(dats.Servers)) {
		s := server{dats.Servers[path], path}
		c.servers = append(c.servers, s)
		if !s.IsBackup() {
			c.homes[s.Host] = s
		}
		if s.Backup != "" {
			c.backups[s.Backup] = s
		}
	}
	for _, path := range slices.Sorted(maps.Keys(dats.Reals)) {
		c.reals = append(c.reals, realServer{dats.Reals[path], path})
	}
	return c
}

func (c *checker) check() {
	c.names()
	for _, s := range c.servers {
		c.server(s)
	}
	c.realServers()
	c.vips()
}

func (c *checker) fault(file string, line int, format string, args ...any) {
	c.faults.Add(file, line, format, args...)
}

// exists reports whether the directory holds the named file.
func (c *checker) exists(name string) bool {
	_, err := os.Stat(filepath.Join(c.dir, name))
	return err == nil
}
