package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
)

// RoomOptions says what Room is made of.
type RoomOptions struct {
	Dir   string // everything that it writes, but for the cached image
	Cache string // of guest images
	Paper string // configuration of the paper's system
	Bin   string // directory of pss, dbss, dsrs and sif
	Self  string // the lab's executable, which suspends real servers (see Power) and awaits services
	Small bool   // guests live in memory and only greet
}

// room is the whole lab, run by one process that stands for electricity: hosts
// sleep, wake and boot by it. It also launches the four programs.
type room struct {
	*Lab
	opt      RoomOptions
	supplies []*power
	work     sync.WaitGroup
	progress io.Writer
	loads    *loads
	other    work
}

// RunRoom builds the paper's whole system with the four programs, calls ready,
// and runs it until ctx ends. Nothing of it remains then but files.
func RunRoom(ctx context.Context, opt RoomOptions, progress io.Writer, ready func() error) (err error) {
	if err := writePID(opt.Dir); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(opt.Dir, "site")); err != nil { // a former lab's logs
		return fmt.Errorf("cannot clear the lab's directory: %v", err)
	}
	disk := ""
	if !opt.Small {
		if disk, err = RootFS(ctx, opt.Cache, progress); err != nil {
			return err
		}
	}
	renice(os.Getpid(), programNice) // it is what hosts boot and wake by
	fmt.Fprintln(progress, "building switch, three real servers, management server, load balancer and client")
	l, err := Up(ctx, Room(disk), opt.Dir)
	if err != nil {
		return err
	}
	if !l.kvm {
		fmt.Fprintln(progress, "KVM boots no guest here: processors are emulated, some ten times slower")
	}
	r := &room{Lab: l, opt: opt, progress: progress, loads: newLoads()}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		err = errors.Join(err, l.Down(context.WithoutCancel(ctx)))
		r.work.Wait()
	}()
	if err := r.start(ctx); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// start starts what runs in the room besides the hosts' libvirtd.
func (r *room) start(ctx context.Context) error {
	for _, m := range r.hosts {
		if m.Name != management {
			r.supplies = append(r.supplies, &power{m: m, state: powerOn})
		}
	}
	if err := os.Symlink(r.opt.Bin, filepath.Join(r.dir, "bin")); err != nil {
		return fmt.Errorf("cannot find the programs: %v", err)
	}
	if err := r.writeSite(r.opt.Paper, r.opt.Self); err != nil {
		return err
	}
	if err := os.WriteFile(r.balancerFile(), []byte(balancerConfig()), 0o644); err != nil {
		return fmt.Errorf("cannot configure the load balancer: %v", err)
	}
	if err := r.serve(ctx); err != nil {
		return err
	}
	r.work.Go(func() {
		if err := r.hearMagic(ctx, func(mac cluster.MAC) { r.heard(ctx, mac) }); err != nil {
			fmt.Fprintln(r.progress, "lab:", err)
		}
	})
	r.work.Go(func() { r.keepNice(ctx) })
	if err := r.bootHomes(ctx); err != nil {
		return err
	}
	r.work.Go(func() { r.keepLoaded(ctx) })
	if err := r.launch(ctx); err != nil {
		return err
	}
	return r.awaitStandby(ctx)
}

func (r *room) balancerFile() string { return filepath.Join(r.dir, "haproxy.cfg") }

// heard wakes the host that a magic packet is for.
func (r *room) heard(ctx context.Context, mac cluster.MAC) {
	for _, p := range r.supplies {
		if p.m.MAC == mac {
			r.work.Go(func() { r.report("wake "+p.m.Name, p.wake(ctx)) })
		}
	}
}

func (r *room) report(what string, err error) {
	if err != nil {
		fmt.Fprintf(r.progress, "%s lab: %s: %v\n", time.Now().Format(time.TimeOnly), what, err)
	}
}

// order is what a process asks of the room.
type order struct {
	Verb string `json:"verb"`
	Host string `json:"host"` // or guest, daemon of one, group: the target
	Kind string `json:"kind,omitempty"`
	Much string `json:"much,omitempty"` // of a fault that has a degree
}

type reply struct {
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
}

func socket(dir string) string { return filepath.Join(dir, "room.sock") }

// serve answers orders over a socket in the lab's directory.
func (r *room) serve(ctx context.Context) error {
	listener, err := net.Listen("unix", socket(r.dir))
	if err != nil {
		return fmt.Errorf("cannot take orders: %v", err)
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	r.work.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return // it is closed
			}
			r.work.Go(func() { r.obey(ctx, c) })
		}
	})
	return nil
}

func (r *room) obey(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	var o order
	if err := json.NewDecoder(c).Decode(&o); err != nil {
		return
	}
	var a reply
	text, err := r.do(ctx, o)
	if a.Text = text; err != nil {
		a.Error = err.Error()
	}
	_ = json.NewEncoder(c).Encode(a) // whoever asked may have gone
}

func (r *room) do(ctx context.Context, o order) (string, error) {
	switch o.Verb {
	case "status":
		return r.status(), nil
	case "fault":
		return "", r.fault(ctx, o)
	case "load":
		return "", r.loads.set(o.Host, o.Kind)
	}
	p, err := r.power(o.Host)
	if err != nil {
		return "", err
	}
	verbs := map[string]func(context.Context) error{
		"suspend": p.suspend, "wake": p.wake, "off": p.off, "restart": p.restart, "freeze": p.freeze, "thaw": p.thaw,
		"restart-libvirtd": p.restartLibvirtd,
		"partition":        func(ctx context.Context) error { return p.m.link(ctx, "down") },
		"heal":             func(ctx context.Context) error { return p.m.link(ctx, "up") },
	}
	f, ok := verbs[o.Verb]
	if !ok {
		return "", fmt.Errorf("cannot %s: no such order", o.Verb)
	}
	return "", f(ctx)
}

// Power gives the room in dir an order about a host's power: suspend, wake,
// off, restart, freeze, thaw, restart-libvirtd, partition, heal; or asks for
// the status of all.
func Power(ctx context.Context, dir, verb, host string) (string, error) {
	return ask(ctx, dir, order{Verb: verb, Host: host})
}

// Fault has something go wrong in the room in dir (see FaultKinds).
func Fault(ctx context.Context, dir, kind, target string) error {
	_, err := ask(ctx, dir, order{Verb: "fault", Host: target, Kind: kind})
	return err
}

// Lose has a share of the packets to and from a host lost, like "5%", each way;
// "0%" heals that.
func Lose(ctx context.Context, dir, share, host string) error {
	_, err := ask(ctx, dir, order{Verb: "fault", Host: host, Kind: lossFault, Much: share})
	return err
}

// Busy has so many of the machine's processors taken by other work until it is
// called again; 0 ends it.
func Busy(ctx context.Context, dir string, processors int) error {
	_, err := ask(ctx, dir, order{Verb: "fault", Kind: busyFault, Much: strconv.Itoa(processors)})
	return err
}

// Load has the memory of a group's servers filled to percent, those that start
// later too.
func Load(ctx context.Context, dir, group string, percent int) error {
	_, err := ask(ctx, dir, order{Verb: "load", Host: group, Kind: strconv.Itoa(percent)})
	return err
}

func ask(ctx context.Context, dir string, o order) (string, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket(dir))
	if err != nil {
		return "", fmt.Errorf("cannot reach the lab: %v", err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	var a reply
	if err := json.NewEncoder(c).Encode(o); err != nil {
		return "", fmt.Errorf("cannot reach the lab: %v", err)
	}
	if err := json.NewDecoder(c).Decode(&a); err != nil {
		return "", fmt.Errorf("cannot reach the lab: %v", err)
	}
	if a.Error != "" {
		return "", errors.New(a.Error)
	}
	return a.Text, nil
}
