package lockedfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

const tempSuffix = ".new"

// Change is one file's new content.
type Change struct {
	Name string // relative to the directory
	Data []byte
	Like string // the file whose mode and owner it gets if there is no Name yet
}

// journal names the new contents of a transaction.
type journal struct {
	Entries []entry `json:"entries"`
}

type entry struct {
	Temp string `json:"temp"` // where the new content stands, relative to the directory
	Name string `json:"name"`
	Sum  string `json:"sha256"`

	data []byte
	like string
}

func newEntry(name string, data []byte, like string) entry {
	sum := sha256.Sum256(data)
	dir, base := filepath.Split(name)
	return entry{Temp: dir + "." + base + tempSuffix, Name: name, Sum: hex.EncodeToString(sum[:]), data: data, like: like}
}

// Commit makes all changes or none, and renews the last good copies. After an
// error nothing has changed. Once the journal is durable the transaction has
// happened: what then still fails is left to the next one who takes the lock.
func (l *Lock) Commit(changes []Change) error {
	copies, err := l.s.copies(changes)
	if err != nil {
		return err
	}
	return l.Install(append(slices.Clone(changes), copies...))
}

// Install is Commit that leaves the last good copies alone: for changes after
// which the files are still not good.
func (l *Lock) Install(changes []Change) error {
	s := l.s
	if err := s.recover(); err != nil {
		return err
	}
	j := s.journal(changes)
	if len(j.Entries) == 0 {
		return nil
	}
	if err := s.stage(j); err != nil {
		_ = s.drop() // what stays is dropped by the next lock
		return err
	}
	if s.finish(j) != nil {
		_ = s.finish(j) // a failure may pass; a journal that stays is finished before the next read
	}
	return nil
}

func (s *Store) journal(changes []Change) journal {
	var j journal
	for _, c := range changes {
		like := c.Name
		if !s.exists(like) {
			like = c.Like
		}
		j.Entries = append(j.Entries, newEntry(c.Name, c.Data, like))
	}
	return j
}

// copies are the last good copies that the changes make stale, or that hand
// edits made so.
func (s *Store) copies(changes []Change) ([]Change, error) {
	var out []Change
	for _, name := range s.opt.Files {
		data, err := s.read(name)
		if i := slices.IndexFunc(changes, func(c Change) bool { return c.Name == name }); i >= 0 {
			data, err = changes[i].Data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot copy %s: %w", name, err)
		}
		last := filepath.Join(LastDir, name)
		if old, err := s.read(last); err != nil || !bytes.Equal(old, data) {
			out = append(out, Change{Name: last, Data: data, Like: name})
		}
	}
	return out, nil
}

// Fresh reports whether the last good copies are as the files. It is a hint where
// the caller does not hold the lock, at least as a reader.
func (s *Store) Fresh() (bool, error) {
	stale, err := s.copies(nil)
	return len(stale) == 0, err
}

// stage writes the new contents and then the journal that makes them the truth.
func (s *Store) stage(j journal) error {
	if err := s.disk.MakeDir(LastDir); err != nil {
		return fmt.Errorf("cannot make the last good copy: %w", err)
	}
	if err := s.writeAll(j.Entries); err != nil {
		return err
	}
	if err := s.syncDirs(); err != nil { // a journal without the names that it promises would be half a transaction
		return err
	}
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	e := newEntry(journalName, b, "")
	if err := s.writeAll([]entry{e}); err != nil {
		return err
	}
	if err := s.rename(e.Temp, journalName); err != nil {
		return err
	}
	err = s.syncDir(".")
	if err != nil && s.remove(journalName) == nil {
		return err
	}
	return nil // a journal that cannot be taken back is kept
}

// finish does what a durable journal promises. It may be done again.
func (s *Store) finish(j journal) error {
	for _, e := range j.Entries {
		data, err := s.read(e.Temp)
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed already
		}
		if err != nil {
			return fmt.Errorf("cannot finish %s: %w", e.Name, err)
		}
		if newEntry(e.Name, data, "").Sum != e.Sum {
			continue // of a later transaction that was not committed
		}
		if err := s.rename(e.Temp, e.Name); err != nil {
			return err
		}
	}
	if err := s.syncDirs(); err != nil {
		return err
	}
	return s.remove(journalName)
}

// syncDirs makes all names durable.
func (s *Store) syncDirs() error {
	for _, dir := range []string{".", LastDir} {
		if err := s.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// recover finishes the transaction of a journal and drops new contents that no journal names.
func (s *Store) recover() error {
	b, err := s.read(journalName)
	if errors.Is(err, fs.ErrNotExist) {
		return s.drop()
	}
	if err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	var j journal
	if err := json.Unmarshal(b, &j); err != nil || !j.local() {
		// Our own journals are whole before they get this name: nothing stands behind it.
		return errors.Join(s.remove(journalName), s.drop())
	}
	if err := s.finish(j); err != nil {
		return err
	}
	return s.drop()
}

// local reports whether the journal is one of ours: it stays inside the
// directory, and the new contents have the names that they get here.
func (j journal) local() bool {
	return !slices.ContainsFunc(j.Entries, func(e entry) bool {
		return !filepath.IsLocal(e.Name) || e.Temp != newEntry(e.Name, nil, "").Temp
	})
}

// drop removes new contents that never became true.
func (s *Store) drop() error {
	for _, dir := range []string{".", LastDir} {
		files, err := s.disk.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot look for a dropped transaction: %w", err)
		}
		for _, f := range files {
			if !strings.HasPrefix(f, ".") || !strings.HasSuffix(f, tempSuffix) {
				continue
			}
			if err := s.remove(filepath.Join(dir, f)); err != nil {
				return err
			}
		}
	}
	return nil
}
