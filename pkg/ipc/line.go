package ipc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxLine bounds a line of the protocol, in bytes. The longest reply lists
// every row of operation, about 150 bytes each.
const MaxLine = 1 << 20

// MaxRequest bounds a request, of which a sif may read many at once. The
// longest names the servers of one real server, at most 400 bytes each.
const MaxRequest = 1 << 16

var errLineTooLong = errors.New("a line is too long")

// lineReader reads lines of at most max bytes.
type lineReader struct {
	r   *bufio.Reader
	max int
}

func newLineReader(r io.Reader, max int) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, min(max/128, 4096)), max} // most lines are far shorter than the longest
}

// begun waits for the first byte of the next line and reports whether all of it
// has come.
func (l *lineReader) begun() (whole bool, err error) {
	if _, err := l.r.Peek(1); err != nil {
		return false, err
	}
	there, err := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(there, '\n') >= 0, err
}

// next returns the next line without its end. A last line without newline is
// an unfinished one: its sender died.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > l.max:
			return nil, fmt.Errorf("%w: longer than %d bytes", errLineTooLong, l.max)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err
		}
		return line[:len(line)-1], nil
	}
}
