package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"pss-msbs/pkg/lab"
)

// upCmd starts the room as a process of its own and shows what it says until it is ready.
type upCmd struct {
	Cache string `default:"/var/cache/pss-msbs-lab" help:"Where guest images are kept."`
	Conf  string `default:"testdata/paper" help:"Configuration of the paper's system."`
	Bin   string `default:"bin" help:"Directory of the four programs."`
	Small bool   `help:"Guests of a few megabytes that only greet: they boot in seconds."`
}

// readyLine is the last thing that a room says to whoever brought it up.
const readyLine = "ready"

func (u upCmd) Run(ctx context.Context, c *command) error {
	if err := lab.Ready(); err != nil {
		return err
	}
	if err := lab.Clear(ctx, c.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the lab's directory: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(c.Dir, "room.log"))
	if err != nil {
		return fmt.Errorf("cannot start the lab: %v", err)
	}
	defer log.Close()
	said, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	cmd := exec.Command(self, "--dir", c.Dir, "room", "--cache", u.Cache, "--conf", u.Conf, "--bin", u.Bin, "--small="+strconv.FormatBool(u.Small))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the lab: %v", err)
	}
	_ = w.Close() // the room has it
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	for s := bufio.NewScanner(said); s.Scan(); {
		if s.Text() == readyLine {
			return nil
		}
		fmt.Println(s.Text())
	}
	return fmt.Errorf("cannot start the lab: %v (see %s)", cmd.Wait(), log.Name())
}

type roomCmd struct {
	Cache, Conf, Bin string
	Small            bool
}

// progressFD is where a room tells of its progress.
const progressFD = 3

func (r roomCmd) Run(ctx context.Context, c *command) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin, err := filepath.Abs(r.Bin)
	if err != nil {
		return err
	}
	syscall.CloseOnExec(progressFD)
	pipe := os.NewFile(progressFD, "progress")
	progress := io.MultiWriter(os.Stdout, pipe) // the log, and whoever waits
	opt := lab.RoomOptions{Dir: c.Dir, Cache: r.Cache, Paper: r.Conf, Bin: bin, Self: self, Small: r.Small}
	return lab.RunRoom(ctx, opt, progress, func() error {
		if _, err := fmt.Fprintln(pipe, readyLine); err != nil {
			return err
		}
		return pipe.Close()
	})
}
