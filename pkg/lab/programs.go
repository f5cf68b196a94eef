package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// productPrograms are the four programs that the lab is there for.
var productPrograms = []string{"pss", "dbss", "dsrs", "sif"}

// relaunchAfter is the pause before a program that failed is started again.
const relaunchAfter = time.Second

// launch starts HAProxy and, on the management server, the programs.
func (r *room) launch(ctx context.Context) error {
	errs, err := os.Create(filepath.Join(r.Sub("log"), "stderr.log"))
	if err != nil {
		return fmt.Errorf("cannot launch the programs: %v", err)
	}
	context.AfterFunc(ctx, func() { _ = errs.Close() }) // the programs have it open themselves
	keep := func(namespace string, nice int, program string, args ...string) {
		r.work.Go(func() {
			r.report(program, keepRunning(ctx, nice, func() *exec.Cmd {
				cmd := exec.Command("ip", append([]string{"netns", "exec", r.Namespace(namespace), program}, args...)...)
				cmd.Stdout, cmd.Stderr = errs, errs
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				return cmd
			}))
		})
	}
	keep(loadBalancer, guestNice, "haproxy", "-db", "-f", r.balancerFile())
	for _, s := range r.plan.Servers {
		if s.Home != "" {
			keep(management, programNice, filepath.Join(r.opt.Bin, "dbss"), r.flags(filepath.Join(r.Sub("conf"), s.Host+".dat"))...)
		}
	}
	for _, h := range r.plan.reals() {
		keep(management, programNice, filepath.Join(r.opt.Bin, "dsrs"), r.flags(filepath.Join(r.Sub("conf"), h.Name+".dat"))...)
	}
	keep(management, programNice, filepath.Join(r.opt.Bin, "pss"), r.flags("run")...)
	return nil
}

func (l *Lab) flags(args ...string) []string {
	return append(args, "--conf", l.Sub("conf"), "--run", l.Sub("run"), "--state", l.Sub("state"), "--log", l.Sub("log"))
}

// bootSlots is how many guests boot at once, before there are programs to see to it.
const bootSlots = 2

// homeLimit is how long a home server may take until its services answer.
const homeLimit = 3 * time.Minute

// bootHomes boots the home servers, as the hosts of a machine room do by
// themselves, and returns when their services and agents answer.
func (r *room) bootHomes(ctx context.Context) error {
	var all errgroup.Group
	all.SetLimit(bootSlots)
	for _, s := range r.plan.Servers {
		if s.Home == "" {
			continue
		}
		all.Go(func() error {
			began := time.Now()
			err := r.bootHome(ctx, s)
			if err == nil {
				fmt.Fprintf(r.progress, "%s is up on %s after %.0f s\n", s.Host, s.Home, time.Since(began).Seconds())
			}
			return err
		})
	}
	return all.Wait()
}

func (r *room) bootHome(ctx context.Context, s Server) error {
	h, err := r.plan.find(s.Home)
	if err != nil {
		return err
	}
	if err := r.virsh(ctx, h, "define", strings.ReplaceAll(r.Definition(), "{host}", s.Host)); err != nil {
		return err
	}
	if err := r.virsh(ctx, h, "start", s.Host); err != nil {
		return err
	}
	answers := []string{"ip", "netns", "exec", r.Namespace(management), r.opt.Self, "await", "--for", homeLimit.String(), s.IP.String()}
	if _, err := run(ctx, append(answers, s.Daemons...)...); err != nil {
		return fmt.Errorf("cannot boot %s: %v", s.Host, err)
	}
	// The agent may be the last to come up.
	err = until(ctx, homeLimit, 500*time.Millisecond, func(ctx context.Context) error {
		return r.virsh(ctx, h, "qemu-agent-command", s.Host, `{"execute":"guest-ping"}`)
	})
	if err != nil {
		return fmt.Errorf("cannot boot %s: %v", s.Host, err)
	}
	return nil
}

// keepRunning runs a program until it ends well or ctx ends; one that fails is
// started again.
func keepRunning(ctx context.Context, nice int, command func() *exec.Cmd) error {
	for ctx.Err() == nil {
		cmd := command()
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("cannot launch %v: %v", cmd.Args, err)
		}
		renice(cmd.Process.Pid, nice) // before it has threads and children, which are as nice
		stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
		err := cmd.Wait()
		stop()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(relaunchAfter):
		}
	}
	return nil
}
