package ipc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// MaxLine bounds a line of the protocol, in bytes. The longest reply lists
// every row of operation, about 150 bytes each.
const MaxLine = 1 << 20

var errLineTooLong = fmt.Errorf("a line is longer than %d bytes", MaxLine)

// lineReader reads lines of at most MaxLine bytes.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader) *lineReader { return &lineReader{bufio.NewReader(r)} }

// next returns the next line without its end. A last line without newline is
// an unfinished one: its sender died.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > MaxLine:
			return nil, errLineTooLong
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err
		}
		return line[:len(line)-1], nil
	}
}
