package lockedfile

import (
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"sync"
)

// Memory is a Disk in memory, for whole systems under virtual time: nothing on
// it takes time, and nothing waits for a poll.
type Memory struct {
	// Released, if set, is called before an exclusive lock under which
	// something changed is given back.
	Released func()

	mu      sync.Mutex
	files   map[string]memoryFile
	changes uint64
	subs    map[chan struct{}]bool

	readers int
	writer  bool
	turn    bool   // a writer waits, or has the lock
	since   uint64 // changes when the writer got the lock
}

type memoryFile struct {
	data    []byte
	version uint64
}

// NewMemory returns an empty directory.
func NewMemory() *Memory {
	return &Memory{files: map[string]memoryFile{}, subs: map[chan struct{}]bool{}}
}

// ReadFile is what a file says; nobody may change it.
func (m *Memory) ReadFile(name string) ([]byte, error) { return m.Read(name, math.MaxInt64) }

// Read implements Disk.
func (m *Memory) Read(name string, most int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[path.Clean(name)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f.data[:min(int64(len(f.data)), most)], nil
}

// Pending reports whether somebody died within a transaction: the files are half of
// the old and half of the new until the next lock.
func (m *Memory) Pending() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.files[journalName]
	return ok
}

// WriteFile sets what a file says, as an editor does that knows of no lock.
func (m *Memory) WriteFile(name string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(path.Clean(name), data)
}

// put changes a file and tells everybody. Held: m.mu.
func (m *Memory) put(name string, data []byte) {
	m.changes++
	m.files[name] = memoryFile{data, m.changes}
	m.tell()
}

func (m *Memory) tell() {
	for c := range m.subs {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Subscribe implements Notifier.
func (m *Memory) Subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs[c] = true
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.subs, c)
	}
}

// Stamp implements Disk.
func (m *Memory) Stamp(name string) (Stamp, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[path.Clean(name)]
	if !ok {
		return Stamp{}, fs.ErrNotExist
	}
	return Stamp{Ino: f.version, Size: int64(len(f.data))}, nil
}

// List implements Disk.
func (m *Memory) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.files {
		if path.Dir(name) == path.Clean(dir) {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create implements Disk.
func (m *Memory) Create(name string) (File, error) {
	m.WriteFile(name, nil)
	return &memoryWriter{m: m, name: path.Clean(name)}, nil
}

// Rename implements Disk.
func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from = path.Clean(from)
	f, ok := m.files[from]
	if !ok {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(m.files, from)
	m.put(path.Clean(to), f.data)
	return nil
}

// Remove implements Disk.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	if _, ok := m.files[name]; !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.files, name)
	m.changes++
	m.tell()
	return nil
}

// MakeDir implements Disk.
func (m *Memory) MakeDir(string) error { return nil }

// SyncDir implements Disk.
func (m *Memory) SyncDir(string) error { return nil }

// Lock implements Disk.
func (m *Memory) Lock(exclusive bool) (Latch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.writer || exclusive && m.readers > 0:
		return nil, nil
	case exclusive:
		m.writer, m.since = true, m.changes
	default:
		m.readers++
	}
	return &memoryLatch{m: m, exclusive: exclusive}, nil
}

// Turn implements Queuer.
func (m *Memory) Turn(exclusive bool) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.turn:
		return nil, nil
	case !exclusive:
		return io.NopCloser(nil), nil
	}
	m.turn = true
	return &memoryTurn{m}, nil
}

type memoryTurn struct{ m *Memory }

func (t *memoryTurn) Close() error {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.m.turn = false
	return nil
}

type memoryLatch struct {
	m         *Memory
	exclusive bool
	once      sync.Once
}

func (l *memoryLatch) Tell(holder string) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.files[lockName] = memoryFile{data: []byte(holder)}
	return nil
}

func (l *memoryLatch) Close() error {
	l.once.Do(func() {
		if l.exclusive && l.m.Released != nil && l.m.changed() {
			l.m.Released()
		}
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		if !l.exclusive {
			l.m.readers--
			return
		}
		l.m.writer = false
		delete(l.m.files, lockName)
	})
	return nil
}

// changed reports whether anything changed under the exclusive lock.
func (m *Memory) changed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes != m.since
}

type memoryWriter struct {
	m    *Memory
	name string
	buf  []byte
}

func (f *memoryWriter) Write(b []byte) (int, error) {
	f.buf = append(f.buf, b...)
	f.m.WriteFile(f.name, f.buf[:len(f.buf):len(f.buf)])
	return len(b), nil
}

func (f *memoryWriter) Like(string) error { return nil }
func (f *memoryWriter) Sync() error       { return nil }
func (f *memoryWriter) Close() error      { return nil }
