package ipc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/notes"
)

// Move is a VIP that pss is moving.
type Move struct {
	VIP   netip.Addr      `json:"vip"`
	On    []cluster.Guest `json:"on,omitempty"` // the servers that are given it, or may be again
	Given time.Time       `json:"given"`        // when
}

// Names reports whether host is given the VIP, or may be again.
func (m Move) Names(host string) bool {
	return slices.ContainsFunc(m.On, func(g cluster.Guest) bool { return g.Host == host })
}

// VIPsOf are the VIPs of moves.
func VIPsOf(moves []Move) []netip.Addr {
	out := make([]netip.Addr, len(moves))
	for i, m := range moves {
		out[i] = m.VIP
	}
	return out
}

// Moves is the set of VIPs that pss is moving: one file moving-VIP in the state
// directory for each, from before the first address is touched until the files say
// the same or all is undone, and no server may get it any more by a command that
// comes true late. It changes only under the exclusive lock of the seven files. A
// mark that is left tells that pss was killed in between, or that it does not know
// what became of a command: a server that no row names may answer for the VIP, or
// come to do so, so whoever is about to give it to another asks first, and pss
// takes it off that server.
// A mark outlives a loss of power, as who answers for the VIP does.
//
// The zero Moves keeps no marks.
type Moves struct {
	Dir  string     // the state directory
	Disk notes.Disk // where that is; nil: of the operating system
}

const movingPrefix = "moving-"

func (m Moves) path(vip netip.Addr) string { return filepath.Join(m.Dir, movingPrefix+vip.String()) }

// Get is the mark of vip, if there is one. One that cannot be read names no server.
func (m Moves) Get(vip netip.Addr) (Move, bool) {
	if m.Dir == "" {
		return Move{}, false
	}
	b, err := notes.On(m.Disk).Read(m.path(vip), notes.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return Move{}, false
	}
	var move Move
	if err == nil {
		err = json.Unmarshal(b, &move)
	}
	if err != nil {
		move = Move{}
	}
	move.VIP = vip
	return move, true
}

// Add marks VIPs; one that is marked is marked anew.
func (m Moves) Add(moves ...Move) error {
	if m.Dir == "" || len(moves) == 0 {
		return nil
	}
	known := true
	for _, move := range moves {
		_, marked := m.Get(move.VIP)
		known = known && marked
		b, err := json.Marshal(move)
		if err == nil {
			err = notes.On(m.Disk).Write(m.path(move.VIP), b, false)
		}
		if err != nil {
			return fmt.Errorf("cannot record that %v moves: %v", move.VIP, err)
		}
	}
	if known { // that there is a mark outlives a loss of power; no command does
		return nil
	}
	if err := notes.On(m.Disk).Sync(m.Dir); err != nil {
		return fmt.Errorf("cannot record that %v move: %v", VIPsOf(moves), err)
	}
	return nil
}

// Remove takes the marks off; there need not be any.
func (m Moves) Remove(vips ...netip.Addr) error {
	for _, vip := range vips {
		if m.Dir == "" {
			break
		}
		if err := notes.On(m.Disk).Remove(m.path(vip)); err != nil {
			return fmt.Errorf("cannot forget that %v moves: %v", vip, err)
		}
	}
	return nil
}

// All lists the set in address order.
func (m Moves) All() ([]Move, error) {
	if m.Dir == "" {
		return nil, nil
	}
	names, err := notes.On(m.Disk).List(m.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list moving VIPs: %w", err)
	}
	var out []Move
	for _, name := range names {
		text, is := strings.CutPrefix(name, movingPrefix)
		vip, err := netip.ParseAddr(text)
		if !is || err != nil {
			continue
		}
		if move, still := m.Get(vip); still {
			out = append(out, move)
		}
	}
	slices.SortFunc(out, func(a, b Move) int { return a.VIP.Compare(b.VIP) })
	return out, nil
}
