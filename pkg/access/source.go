package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"pss-msbs/pkg/command"
)

// The pauses before a source that ended is opened again.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// errStarting is why nothing is counted before the source has been opened.
var errStarting = errors.New("the packet source is not open yet")

// Running is a counter with the goroutine that feeds it.
type Running struct {
	Counter
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Close ends counting and waits for it to end.
func (r *Running) Close() error {
	r.cancel()
	r.done.Wait()
	return nil
}

// attempt opens a source and counts until it ends; it calls opened in between.
type attempt func(ctx context.Context, opened func()) error

// follow makes attempts until ctx ends.
func follow(ctx context.Context, try func(*Counter) attempt) *Running {
	r := &Running{Counter: Counter{seen: map[netip.Addr]uint64{}, err: errStarting}}
	ctx, r.cancel = context.WithCancel(ctx)
	one := try(&r.Counter)
	r.done.Go(func() {
		pause := firstRetry
		for {
			err := one(ctx, func() { r.set(nil); pause = firstRetry })
			r.set(err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, lastRetry)
		}
	})
	return r
}

// Interface counts the SYNs that pass the local network interface name. It
// needs the right to capture packets (root).
func Interface(ctx context.Context, name string) *Running {
	return follow(ctx, func(c *Counter) attempt {
		return func(ctx context.Context, opened func()) error { return captureInterface(ctx, c, name, opened) }
	})
}

// Command counts the SYNs in the pcap stream that a command prints, such as
// `ssh LB tcpdump -w - tcp`. It is started again when it ends.
func Command(ctx context.Context, argv []string) *Running {
	return follow(ctx, func(c *Counter) attempt {
		return func(ctx context.Context, opened func()) error { return captureCommand(ctx, c, argv, opened) }
	})
}

// snap is how much of a packet is read: all headers up to TCP's.
const snap = 256

func captureInterface(ctx context.Context, c *Counter, name string, opened func()) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	h, err := pcapgo.NewEthernetHandle(name)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := prepare(h, ifi); err != nil {
		return err
	}
	opened()
	var woken sync.WaitGroup
	woken.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer woken.Done()
		_ = h.SetBPF(nil)
		_ = nudge(ifi) // where that fails the next packet ends the wait
	})
	err = c.count(ctx, h, layers.LinkTypeEthernet)
	if !stop() {
		woken.Wait()
	}
	return err
}

func prepare(h *pcapgo.EthernetHandle, ifi *net.Interface) error {
	if err := isEthernet(ifi); err != nil {
		return err
	}
	program, err := bpf.Assemble(synFilter())
	if err != nil {
		return err
	}
	if err := h.SetBPF(program); err != nil {
		return err
	}
	// The traffic of the VIPs may be for others, as on a bridge or a mirror port.
	if err := h.SetPromiscuous(true); err != nil {
		return err
	}
	return h.SetCaptureLength(snap)
}

// isEthernet refuses an interface whose packets begin otherwise, such as a
// tunnel: no access would ever be seen there.
func isEthernet(ifi *net.Interface) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(ifi.Name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, request); err != nil {
		return err
	}
	if kind := request.Uint16(); kind != unix.ARPHRD_ETHER && kind != unix.ARPHRD_LOOPBACK {
		return fmt.Errorf("%s is no Ethernet interface but of ARP hardware type %d", ifi.Name, kind)
	}
	return nil
}

// nudge sends a frame of a local experimental type from ifi to itself: the
// capture sees it go out and stops waiting.
func nudge(ifi *net.Interface) error {
	const experimental = 0x88b5
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	frame := make([]byte, 60)
	copy(frame, ifi.HardwareAddr)
	copy(frame[6:], ifi.HardwareAddr)
	frame[12], frame[13] = experimental>>8, experimental&0xff
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
}

// synFilter passes TCP segments with SYN and without ACK, over IPv4 or IPv6,
// with one VLAN tag or none. IPv6 with extension headers passes for a closer look.
func synFilter() []bpf.Instruction {
	const etherType, tag = 12, 4
	plain := synPart(etherType)
	return append(append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: etherType, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_8021Q, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_8021AD, SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(plain))},
	}, plain...), synPart(etherType+tag)...)
}

// synPart is the filter of frames whose type stands at offset etherType.
func synPart(etherType uint32) []bpf.Instruction {
	ip := etherType + 2
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: etherType, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 8},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipFalse: 16},
		bpf.LoadAbsolute{Off: ip + 9, Size: 1}, // IPv4: protocol
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipFalse: 14},
		bpf.LoadAbsolute{Off: ip + 6, Size: 2}, // fragment offset
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 12},
		bpf.LoadMemShift{Off: ip},
		bpf.LoadIndirect{Off: ip + 13, Size: 1},
		bpf.Jump{Skip: 6},
		bpf.LoadAbsolute{Off: ip + 6, Size: 1}, // IPv6: next header
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_HOPOPTS, SkipTrue: 6},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ROUTING, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_DSTOPTS, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipFalse: 4},
		bpf.LoadAbsolute{Off: ip + 40 + 13, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: flagSYN | flagACK},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: flagSYN, SkipFalse: 1},
		bpf.RetConstant{Val: snap},
		bpf.RetConstant{Val: 0},
	}
}

func captureCommand(ctx context.Context, c *Counter, argv []string, opened func()) error {
	if len(argv) == 0 {
		return errors.New("no command is set")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := command.New(ctx, argv)
	stderr := command.Limited{Max: maxSaid}
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r, err := newStream(out)
	if err == nil {
		opened()
		err = c.count(ctx, r, r.LinkType())
	}
	if !errors.Is(err, io.EOF) {
		cancel() // the stream is of no use, but its command goes on
	}
	if werr := cmd.Wait(); errors.Is(err, io.EOF) && werr != nil {
		err = fmt.Errorf("%s: %v %s", argv[0], werr, lastLine(string(stderr.Bytes())))
	}
	return err
}

// maxSaid bounds what is kept of a command's errors, in bytes.
const maxSaid = 1 << 16

// longestPacket is what tcpdump takes for the longest packet there is.
const longestPacket = 262144

// newStream reads a pcap stream. What its header says of the longest packet is
// not believed: it is the size of a buffer.
func newStream(r io.Reader) (*pcapgo.Reader, error) {
	s, err := pcapgo.NewReader(r)
	if err == nil {
		s.SetSnaplen(longestPacket)
	}
	return s, err
}

// lastLine is what a command said last; before it tcpdump counts packets.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
