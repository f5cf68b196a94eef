package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// verdict is what a test said.
type verdict struct {
	ran    bool     // it ran at least one test
	failed []string // what failed: the innermost tests, or how the whole came to an end
	took   time.Duration
	output string
}

// lab builds and runs tests.
type lab struct {
	root, tags string
	limit      time.Duration
	all        bool // go on after the first failure
}

// try runs the tests of c with the overlay, or, where it is "", as they are. An
// error is no verdict: above all, what does not compile has seen nothing.
func (l lab) try(ctx context.Context, c Catcher, overlay string, limit time.Duration) (verdict, error) {
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return verdict{}, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "tests")
	if err := l.build(ctx, c, overlay, binary); err != nil {
		return verdict{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit+time.Minute)
	defer cancel()
	args := []string{"-test.v", "-test.run", c.Test, "-test.timeout", limit.String()}
	if !l.all {
		args = append(args, "-test.failfast")
	}
	if c.Seeds > 0 {
		args = append(args, fmt.Sprintf("-seeds=%d", c.Seeds))
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = filepath.Join(l.root, c.Package)
	cmd.Env = append(os.Environ(), goflags(overlay), // a test that builds programs builds them with the defect
		"RAPID_NOFAILFILE=1") // what only a defect fails must not be kept for the tests of the sound code
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	v := verdict{ran: strings.Contains(string(out), "=== RUN"), took: time.Since(begun), output: string(out)}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return v, nil
	case !errors.As(err, &exit) || ctx.Err() != nil:
		return v, fmt.Errorf("cannot run the tests of %s: %v", c.Package, err)
	}
	v.failed = failures(string(out))
	if len(v.failed) == 0 {
		return v, fmt.Errorf("cannot read what the tests of %s say: %v\n%s", c.Package, err, tail(string(out)))
	}
	return v, nil
}

func (l lab) build(ctx context.Context, c Catcher, overlay, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-s -w", "-tags", l.tags, "-o", binary, "./"+c.Package)
	cmd.Dir = l.root
	cmd.Env = append(os.Environ(), goflags(overlay))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the tests of %s: %v\n%s", c.Package, err, tail(string(out)))
	}
	return nil
}

// goflags has the go command use the overlay.
func goflags(overlay string) string {
	flags := os.Getenv("GOFLAGS")
	if overlay != "" {
		flags = strings.TrimSpace(flags + " -overlay=" + overlay)
	}
	return "GOFLAGS=" + flags
}

var failLine = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// failures are the innermost tests that failed; a panic or a hang ends the
// whole run and may leave no such line.
func failures(output string) []string {
	var names []string
	for _, m := range failLine.FindAllStringSubmatch(output, -1) {
		names = append(names, m[1])
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		return slices.ContainsFunc(names, func(o string) bool { return strings.HasPrefix(o, n+"/") })
	})
	if len(names) > 0 {
		return names
	}
	for _, end := range []struct{ text, how string }{
		{"panic: test timed out", "hangs"}, {"\npanic: ", "panics"}, {"WARNING: DATA RACE", "races"},
	} {
		if strings.Contains("\n"+output, end.text) {
			return []string{end.how}
		}
	}
	return nil
}

// tail is the end of an output.
func tail(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
