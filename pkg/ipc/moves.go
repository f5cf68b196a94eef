package ipc

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Moves is the set of VIPs that pss is moving: one empty file moving-VIP in the
// state directory for each, from before the first address is touched until the
// files say the same or all is undone. It changes only under the exclusive lock
// of the seven files. A mark that is left tells that pss was killed in between:
// a server that no row names may answer for the VIP, so whoever is about to give
// it to another asks first, and pss, started again, strips that server.
// A mark outlives a loss of power, as who answers for the VIP does.
//
// The zero Moves keeps no marks.
type Moves struct{ Dir string } // the state directory

const movingPrefix = "moving-"

func (m Moves) path(vip netip.Addr) string { return filepath.Join(m.Dir, movingPrefix+vip.String()) }

// Has tells whether vip is marked.
func (m Moves) Has(vip netip.Addr) bool {
	if m.Dir == "" {
		return false
	}
	_, err := os.Lstat(m.path(vip))
	return err == nil
}

// Add marks VIPs; they may be marked.
func (m Moves) Add(vips ...netip.Addr) error {
	if m.Dir == "" || len(vips) == 0 {
		return nil
	}
	for _, vip := range vips {
		if err := os.WriteFile(m.path(vip), nil, 0o600); err != nil {
			return fmt.Errorf("cannot record that %v moves: %v", vip, err)
		}
	}
	if err := syncDir(m.Dir); err != nil {
		return fmt.Errorf("cannot record that %v move: %v", vips, err)
	}
	return nil
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove takes the marks off; there need not be any.
func (m Moves) Remove(vips ...netip.Addr) error {
	for _, vip := range vips {
		if m.Dir == "" {
			break
		}
		if err := os.Remove(m.path(vip)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("cannot forget that %v moves: %v", vip, err)
		}
	}
	return nil
}

// VIPs lists the set in address order.
func (m Moves) VIPs() ([]netip.Addr, error) {
	if m.Dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list moving VIPs: %v", err)
	}
	var vips []netip.Addr
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), movingPrefix); ok {
			if vip, err := netip.ParseAddr(name); err == nil {
				vips = append(vips, vip)
			}
		}
	}
	slices.SortFunc(vips, netip.Addr.Compare)
	return vips, nil
}
