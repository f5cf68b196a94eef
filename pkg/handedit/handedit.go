// Package handedit is vipw for the seven PSS files: an editor on a copy without a
// lock, then lock, check and install (SPEC 2, pss edit).
package handedit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"pss-msbs/pkg/check"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/diag"
)

// ErrChanged is the reason of an edit that came too late.
var ErrChanged = errors.New("somebody else changed it meanwhile")

// Editor is the user's editor as an argument list, from $EDITOR: split at
// blanks, never given to a shell.
func Editor(env string) []string {
	if argv := strings.Fields(env); len(argv) > 0 {
		return argv
	}
	return []string{"vi"}
}

// Terminal is what the editor talks through.
type Terminal struct {
	In       io.Reader
	Out, Err io.Writer
}

// Refused is an edit that was not installed: what was typed is kept.
type Refused struct {
	File string // as operation.conf
	Kept string // path of what was typed
	Why  error  // *diag.List, ErrChanged, or what kept the file from being written
}

// Error names the reason and where the typing is.
func (r *Refused) Error() string {
	return fmt.Sprintf("%v\ncannot install %s: what you typed is kept in %s", r.Why, r.File, r.Kept)
}

// Unwrap is the reason.
func (r *Refused) Unwrap() error { return r.Why }

// ExitCode is 2 for typing that is faulty, else 1 (SPEC 2).
func (r *Refused) ExitCode() int {
	if l := new(diag.List); errors.As(r.Why, &l) {
		return 2
	}
	return 1
}

// Name is which of the seven files the user means: by its name, with or
// without .conf, or by a path to it.
func Name(arg string) (string, error) {
	name := strings.TrimSuffix(filepath.Base(arg), ".conf") + ".conf"
	if !slices.Contains(conffile.Names(), name) {
		return "", fmt.Errorf("cannot edit %s: want one of %s", arg, strings.Join(conffile.Names(), " "))
	}
	return name, nil
}

// File lets the user edit the named file and reports whether it changed. The
// lock is held only to install what was typed.
func File(ctx context.Context, conf *conffile.Dir, name string, editor []string, tty Terminal) (bool, error) {
	before, err := os.ReadFile(filepath.Join(conf.Path(), name))
	if err != nil && !os.IsNotExist(err) {
		return false, fmt.Errorf("cannot edit %s: %w", name, err)
	}
	missing := err != nil
	dir, err := os.MkdirTemp("", "pss-edit-")
	if err != nil {
		return false, fmt.Errorf("cannot copy %s: %w", name, err)
	}
	copied := filepath.Join(dir, name)
	after, err := typed(ctx, editor, tty, copied, before)
	if bytes.Equal(before, after) && (err != nil || !missing) {
		return false, errors.Join(err, os.RemoveAll(dir))
	}
	if err == nil {
		err = install(ctx, conf, name, before, after)
	}
	if err != nil {
		return false, &Refused{File: name, Kept: copied, Why: err}
	}
	return true, os.RemoveAll(dir)
}

// typed runs the editor on a copy and returns what it left there, also where it failed.
func typed(ctx context.Context, editor []string, tty Terminal, path string, text []byte) ([]byte, error) {
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	argv := append(slices.Clone(editor), path)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty.In, tty.Out, tty.Err
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("cannot run %s: %w", strings.Join(argv, " "), err)
	}
	after, lost := os.ReadFile(path)
	return after, errors.Join(err, lost)
}

// install puts the typing in place if the file is still what the user saw and
// the typing brings no fault. Faults elsewhere that were there before do not
// stop a repair.
func install(ctx context.Context, conf *conffile.Dir, name string, before, after []byte) error {
	h, err := conf.HoldRaw(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	contents := h.Contents()
	if !bytes.Equal(contents[name], before) {
		return ErrChanged
	}
	old, err := check.Contents(conf.Path(), contents)
	if err != nil {
		return err
	}
	contents[name] = after
	new, err := check.Contents(conf.Path(), contents)
	if err != nil {
		return err
	}
	path := filepath.Join(conf.Path(), name)
	bad := slices.DeleteFunc(new.Faults, func(f diag.Fault) bool {
		return f.File != path && slices.Contains(old.Faults, f)
	})
	if err := bad.Err(); err != nil {
		return err
	}
	return h.Install(name, after)
}
