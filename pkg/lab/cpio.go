package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
)

// cpio writes an archive in the "newc" format, which the kernel unpacks as its
// initial file system. The first error is kept for end.
type cpio struct {
	w    io.Writer
	made map[string]bool // directories written
	n    int             // entries written, used as inode numbers
	err  error
}

const (
	modeDir  = 0o040000
	modeFile = 0o100000
)

func (c *cpio) entry(name string, mode int, body []byte) {
	if c.err != nil {
		return
	}
	c.n++
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.n, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name)+1, 0)
	b := padded(append([]byte(header), name+"\x00"...))
	_, c.err = c.w.Write(append(b, padded(body)...))
}

// padded fills b up with zeroes to a multiple of four.
func padded(b []byte) []byte {
	return append(b[:len(b):len(b)], make([]byte, (4-len(b)%4)%4)...)
}

func (c *cpio) dir(name string) {
	if c.made == nil {
		c.made = map[string]bool{}
	}
	if !c.made[name] {
		c.made[name] = true
		c.entry(name, modeDir|0o755, nil)
	}
}

// parents writes the directories above name.
func (c *cpio) parents(name string) {
	if d := path.Dir(name); d != "." {
		c.parents(d)
		c.dir(d)
	}
}

func (c *cpio) file(name string, mode int, body []byte) { c.entry(name, modeFile|mode, body) }

// program copies a program of this machine.
func (c *cpio) program(name, to string) error {
	from, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	c.file(to, 0o755, b)
	return nil
}

// end finishes the archive and returns the first error.
func (c *cpio) end() error {
	c.entry("TRAILER!!!", 0, nil)
	return c.err
}
