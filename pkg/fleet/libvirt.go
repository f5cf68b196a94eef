//go:build libvirt_dlopen

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"pss-msbs/pkg/access"
	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/guest"
	"pss-msbs/pkg/probe"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/virt"
)

// real is a fleet of real servers: hypervisors through libvirt, guests through
// their agent or ssh, the network by sockets of our own.
type real struct {
	*virt.Driver
	*guest.Commands
	probe.Prober
	hosts
	accesses *access.Running // nil: nothing counts
}

var _ Driver = (*real)(nil)

func openLibvirt(ctx context.Context, s settings.Settings, clk clock.Clock) (Driver, error) {
	d, err := virt.Open(virt.Options{
		URI: s.Libvirt.URI, Management: s.Management.IP, ManagementURI: s.Libvirt.ManagementURI,
		Definition: s.Libvirt.Definition, SavePath: s.Libvirt.SavePath, MigrateURI: s.Libvirt.MigrateURI,
		CopyStorage: s.Libvirt.CopyStorage, CallTimeout: s.Libvirt.CallTimeout.D(),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open the fleet: %w", err)
	}
	transport, err := transportOf(s.Guest, d)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	p := probe.Prober{Ports: s.Guest.Ports}
	f := &real{Driver: d, Prober: p, hosts: hosts{s: s.Libvirt, from: s.Management.IP, ping: p.Ping}}
	f.Commands = guest.New(transport, guest.Options{
		Interface: s.Guest.Interface, Restart: s.Guest.RestartCommand,
		Announce: s.Guest.AnnounceCommand, Announce6: s.Guest.Announce6Command, Now: clk.Now,
	})
	switch s.Access.Source {
	case "interface":
		f.accesses = access.Interface(ctx, s.Access.Interface)
	case "command":
		f.accesses = access.Command(ctx, s.Access.Command)
	}
	return f, nil
}

func transportOf(s settings.Guest, d *virt.Driver) (guest.Transport, error) {
	switch s.Method {
	case "agent":
		return guest.Agent{Channel: d}, nil
	case "ssh":
		return guest.SSH{Command: s.SSHCommand}, nil
	}
	return nil, fmt.Errorf("cannot open the fleet: unknown guest method %q", s.Method)
}

// Accesses are the SYNs seen so far to each address.
func (f *real) Accesses(context.Context) (map[netip.Addr]uint64, error) {
	if f.accesses == nil {
		return nil, errors.New("cannot count accesses: settings name no source")
	}
	return f.accesses.Counts()
}

// Close ends everything that runs for the fleet in this process.
func (f *real) Close() error {
	if f.accesses != nil {
		_ = f.accesses.Close() // never fails
	}
	return errors.Join(f.Commands.Close(), f.Driver.Close())
}
