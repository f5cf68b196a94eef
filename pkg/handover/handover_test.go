package handover

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/cluster"
)

var (
	vip1 = netip.MustParseAddr("172.21.14.101")
	vip2 = netip.MustParseAddr("172.21.14.102")
	mb   = cluster.Guest{Host: "Mb", IP: netip.MustParseAddr("172.21.14.61")}
	m1   = cluster.Guest{Host: "M1", IP: netip.MustParseAddr("172.21.14.1")}
)

// stage is two servers, the rows, and what goes wrong with them.
type stage struct {
	mu      sync.Mutex
	did     []string
	fails   map[string]error // by act
	has     map[netip.Addr]netip.Addr
	ends    int   // acts after which the hold is lost; 0: never
	commits error // what the commit says
	moved   bool  // the rows have followed
	serves  []netip.Addr
}

func (s *stage) act(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, what)
	return s.fails[what]
}

func (s *stage) move(what string, l Leg, to netip.Addr) error {
	err := s.act(what + " " + l.VIP.String()[len("172.21.14."):])
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.has[l.VIP] = to
	}
	return err
}

func (s *stage) Fit(context.Context, Leg) error     { return s.act("fit") }
func (s *stage) Begin(context.Context, []Leg) error { return s.act("begin") }
func (s *stage) Off(_ context.Context, l Leg) error { return s.move("off", l, netip.Addr{}) }
func (s *stage) On(_ context.Context, l Leg) error  { return s.move("on", l, l.To.IP) }
func (s *stage) LetGo(_ context.Context, l Leg) error {
	return s.move("let go", l, netip.Addr{})
}
func (s *stage) Return(_ context.Context, l Leg) error { return s.move("return", l, l.From[0].IP) }
func (s *stage) Commit(context.Context) error          { s.act("commit"); return s.commits }
func (s *stage) Look(context.Context) bool             { s.act("look"); return s.moved }
func (s *stage) Hold(context.Context) ([]netip.Addr, bool, error) {
	err := s.act("hold")
	s.ends = 0
	return s.serves, s.moved, err
}
func (s *stage) Lost() bool { return s.ends > 0 && len(s.did) >= s.ends }
func (s *stage) Whole(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// WhoHas answers at a MAC that ends as the holder's address.
func (s *stage) WhoHas(_ context.Context, ip netip.Addr) ([]cluster.MAC, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := ip
	if holder, is := s.has[ip]; is {
		at = holder
	}
	if !at.IsValid() || s.fails["silent "+at.String()] != nil {
		return nil, nil
	}
	b := at.As4()
	return []cluster.MAC{{2, 0, 0, 0, 0, b[3]}}, nil
}

var errNo = errors.New("no")

func TestHandover(t *testing.T) {
	for name, c := range map[string]struct {
		wrong func(s *stage)
		did   string // each act in order, those of one stage sorted
		err   string // "": it is done
	}{
		"done": {func(*stage) {}, "fit fit begin off 101 off 102 on 101 on 102 commit", ""},
		"a third server answers": {func(s *stage) { s.has[vip2] = netip.MustParseAddr("172.21.14.7") },
			"fit", "cannot move 172.21.14.102: it is held by 02:00:00:00:00:07"},
		"the receiver is silent": {func(s *stage) { s.fails["silent 172.21.14.1"] = errNo }, "", "M1 at 172.21.14.1 does not answer"},
		"one does not go on": {func(s *stage) { s.fails["on 102"] = errNo },
			"fit fit begin off 101 off 102 on 101 on 102 let go 101 let go 102 return 101 return 102", "cannot put 172.21.14.102 on M1: no"},
		"one is not let go of": {func(s *stage) { s.fails["on 102"], s.fails["let go 102"] = errNo, errNo },
			"fit fit begin off 101 off 102 on 101 on 102 let go 101 let go 102 return 101", "cannot undo: cannot take 172.21.14.102 off M1: no"},
		"the rows refuse": {func(s *stage) { s.commits = errNo },
			"fit fit begin off 101 off 102 on 101 on 102 commit let go 101 let go 102 return 101 return 102", "no"},
		"the reply was lost": {func(s *stage) { s.commits, s.moved = cluster.Unknown(errNo), true },
			"fit fit begin off 101 off 102 on 101 on 102 commit look", ""},
		"nor are the rows changed": {func(s *stage) { s.commits, s.serves = cluster.Unknown(errNo), []netip.Addr{vip1} },
			"fit fit begin off 101 off 102 on 101 on 102 commit look hold let go 101 let go 102 return 101", "no"},
		"the hold is lost": {func(s *stage) { s.ends, s.serves = 5, []netip.Addr{vip2} },
			"fit fit begin off 101 off 102 let go 101 let go 102 hold return 102", "the lock was lost"},
		"and none is to be had": {func(s *stage) { s.ends, s.fails["hold"] = 7, errNo },
			"fit fit begin off 101 off 102 on 101 on 102 let go 101 let go 102 hold", "cannot undo: no"},
		"it is lost as it is undone": {func(s *stage) { s.commits, s.ends, s.serves = errNo, 9, []netip.Addr{vip1, vip2} },
			"fit fit begin off 101 off 102 on 101 on 102 commit let go 101 let go 102 hold return 101 return 102", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stage{fails: map[string]error{}, has: map[netip.Addr]netip.Addr{vip1: mb.IP, vip2: mb.IP}}
				c.wrong(s)
				h := &Handover{Network: s, Rows: s, Acts: s, Undo: time.Second,
					Legs: []Leg{{VIP: vip1, From: []cluster.Guest{mb}, To: m1, Returns: true}, {VIP: vip2, From: []cluster.Guest{mb}, To: m1, Returns: true}}}
				err := h.Run(t.Context())
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				if got := inOrder(s.did); got != c.did {
					t.Errorf("did\n%s, want\n%s", got, c.did)
				}
			})
		})
	}
}

// inOrder sorts what was done at the same time.
func inOrder(did []string) string {
	kind := func(what string) string { return strings.TrimRight(what, " 0123456789") }
	for i := 0; i < len(did); {
		n := i
		for n < len(did) && kind(did[n]) == kind(did[i]) {
			n++
		}
		slices.Sort(did[i:n])
		i = n
	}
	return strings.Join(did, " ")
}
