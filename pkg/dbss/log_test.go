package dbss_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// logBook is the system log of all monitors.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(bytes.TrimRight(p, "\n")))
	return len(p), nil
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "\n")
}

func (b *logBook) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = nil
}

// find is the first line of host with message.
func (b *logBook) find(host, message string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		if strings.Contains(l, " "+host+" ") && strings.Contains(l, message) {
			return l
		}
	}
	return ""
}

// messages is the log of host without times and state changes.
func (b *logBook) messages(host string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	for _, l := range b.lines {
		prefix, rest, ok := strings.Cut(l, " "+host+" ")
		if !ok || strings.Contains(rest, "state changed") {
			continue
		}
		if strings.HasPrefix(prefix, "__") {
			out.WriteString("__")
		}
		fmt.Fprintln(&out, regexp.MustCompile(` ((after_detection|after_fault|until)=\S+|evidence=("[^"]*"|\S+))`).ReplaceAllString(rest, ""))
	}
	return out.String()
}
