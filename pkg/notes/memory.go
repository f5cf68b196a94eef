package notes

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Memory is a Disk in memory, for whole systems under virtual time. The zero
// value is ready to use; every directory is there.
type Memory struct {
	mu    sync.Mutex
	notes map[string][]byte
	locks map[string]bool
}

// Read implements Disk.
func (m *Memory) Read(path string, most int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.notes[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return text[:min(int64(len(text)), most)], nil
}

// Write implements Disk.
func (m *Memory) Write(path string, text []byte, _ bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(path, text)
	return nil
}

func (m *Memory) put(path string, text []byte) {
	if m.notes == nil {
		m.notes = map[string][]byte{}
	}
	m.notes[path] = text
}

// Mark implements Disk.
func (m *Memory) Mark(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.notes[path]; !ok {
		m.put(path, nil)
	}
	return nil
}

// Remove implements Disk.
func (m *Memory) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.notes, path)
	return nil
}

// RemoveAll removes the notes of a directory and of those below.
func (m *Memory) RemoveAll(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path := range m.notes {
		if strings.HasPrefix(path, dir+string(filepath.Separator)) {
			delete(m.notes, path)
		}
	}
}

// Rename implements Disk.
func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.notes[from]
	if !ok {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(m.notes, from)
	m.put(to, text)
	return nil
}

// Has implements Disk.
func (m *Memory) Has(path string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.notes[path]
	return ok
}

// List implements Disk.
func (m *Memory) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for path := range m.notes {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Sync implements Disk.
func (m *Memory) Sync(string) error { return nil }

// TryLock implements Disk.
func (m *Memory) TryLock(path string) (unlock func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[path] {
		return nil, nil
	}
	if m.locks == nil {
		m.locks = map[string]bool{}
	}
	m.locks[path] = true
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.locks, path)
	}, nil
}
