package lockedfile

import (
	"errors"
	"fmt"
	"io/fs"
)

// Op is one kind of operation of a transaction.
type Op string

// The operations.
const (
	OpCreate  Op = "create"
	OpWrite   Op = "write"
	OpSync    Op = "sync"
	OpRename  Op = "rename"
	OpSyncDir Op = "syncdir"
	OpRemove  Op = "remove"
)

// Step names one operation of a transaction and its file in the directory: a
// point at which a process may be killed or a disk may fail.
type Step struct {
	Op   Op
	Name string
}

// String is as "rename operation.conf".
func (s Step) String() string { return string(s.Op) + " " + s.Name }

const defaultMode = 0o644

func (s *Store) do(op Op, name string, f func() error) error {
	var err error
	if s.opt.Step != nil {
		err = s.opt.Step(Step{Op: op, Name: name})
	}
	if err == nil {
		err = f()
	}
	if err != nil {
		return fmt.Errorf("cannot %s %s: %w", op, s.path(name), err)
	}
	return nil
}

// write puts data into a new file with the mode and owner of like, and calls
// synced once that is durable. The error is that of the writing alone.
func (s *Store) write(name string, data []byte, like string, synced func(error)) error {
	var f File
	err := s.do(OpCreate, name, func() (err error) {
		f, err = s.disk.Create(name)
		return err
	})
	if err != nil {
		return err
	}
	err = s.do(OpWrite, name, func() error {
		if _, err := f.Write(data); err != nil {
			return err
		}
		return f.Like(like)
	})
	if err == nil {
		err = s.do(OpSync, name, func() error { return nil })
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	go func() { synced(errors.Join(f.Sync(), f.Close())) }()
	return nil
}

// writeAll writes new contents, the syncs side by side: a disk does many in
// little more than the time of one.
func (s *Store) writeAll(entries []entry) error {
	errs := make(chan error, len(entries))
	var err error
	started := 0
	for _, e := range entries {
		if err = s.write(e.Temp, e.data, e.like, func(err error) { errs <- err }); err != nil {
			break
		}
		started++
	}
	for range started {
		if e := <-errs; e != nil {
			err = errors.Join(err, fmt.Errorf("cannot sync new contents in %s: %w", s.dir, e))
		}
	}
	return err
}

func (s *Store) rename(from, to string) error {
	return s.do(OpRename, to, func() error { return s.disk.Rename(from, to) })
}

func (s *Store) remove(name string) error {
	return s.do(OpRemove, name, func() error {
		if err := s.disk.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// syncDir makes the names in a directory durable.
func (s *Store) syncDir(name string) error {
	return s.do(OpSyncDir, name, func() error {
		if err := s.disk.SyncDir(name); !errors.Is(err, fs.ErrNotExist) { // nothing in it
			return err
		}
		return nil
	})
}
