package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"pss-msbs/pkg/diag"
)

// The exit codes of all programs (SPEC 2).
const (
	ExitDone    = 0
	ExitFailed  = 1
	ExitInvalid = 2
)

// exitError is an error that chooses its exit code.
type exitError struct {
	err  error
	code int
	bare bool // printed as it is: each line is FILE:LINE: message
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// ExitCode is the exit code that Main ends with.
func (e *exitError) ExitCode() int { return e.code }

// Usage marks err as a usage error: exit code 2.
func Usage(err error) error { return &exitError{err: err, code: ExitInvalid} }

// Invalid marks err as invalid input: exit code 2. Faults of files, one FILE:LINE:
// message a line, are printed without the program's name.
func Invalid(err error) error {
	var faults *diag.List
	return &exitError{err: err, code: ExitInvalid, bare: errors.As(err, &faults)}
}

// Main runs a program until run returns or, through ctx, SIGTERM or SIGINT ends
// it, prints the error and exits. A second signal ends the process at once.
func Main(program string, run func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a launcher that died takes no monitor with it: the write fails
	os.Exit(exitCode(ctx, program, run(ctx), os.Stderr))
}

// exitCode prints err and chooses the exit code. An end by signal is no failure.
func exitCode(ctx context.Context, program string, err error, stderr io.Writer) int {
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return ExitDone
	}
	var e *exitError
	if errors.As(err, &e) && e.bare {
		fmt.Fprintln(stderr, err)
		return e.code
	}
	fmt.Fprintf(stderr, "%s: %v\n", program, err)
	var c interface{ ExitCode() int }
	if errors.As(err, &c) {
		return c.ExitCode()
	}
	return ExitFailed
}

// Parse reads the command line args into cli, a pointer to a kong grammar.
// Asked for help it prints it on stdout and exits 0; a bad command line is a
// Usage error.
func Parse(program, description string, cli any, args []string, more ...kong.Option) (*kong.Context, error) {
	k, err := kong.New(cli, append(more, kong.Name(program), kong.Description(description),
		kong.UsageOnError(), kong.Writers(os.Stdout, os.Stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))...)
	if err != nil {
		return nil, fmt.Errorf("cannot build the command line: %v", err)
	}
	kctx, err := k.Parse(args)
	if err != nil {
		return nil, Usage(fmt.Errorf("cannot read the command line: %w", err))
	}
	return kctx, nil
}
