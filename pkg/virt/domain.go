//go:build libvirt_dlopen

package virt

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"

	"pss-msbs/pkg/cluster"
)

// GuestState is the hypervisor's word on g. A guest without an agent's channel
// cannot be told to be booting.
func (d *Driver) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	news := &d.host(g.Real).news
	if dead := news.died(g.Host); dead != "" {
		return dead, nil
	}
	state := cluster.GuestAbsent
	err := d.withDomain(ctx, g, func(dom domain) (err error) {
		state, err = guestState(dom)
		return err
	})
	if err != nil && !errors.Is(err, libvirt.ERR_NO_DOMAIN) {
		return "", fmt.Errorf("cannot ask for the state of %s: %w", g.Host, err)
	}
	if state == cluster.GuestRunning && news.rebooting(g.Host) {
		state = cluster.GuestBooting
	}
	if (state == cluster.GuestAbsent || state == cluster.GuestOff) && d.hasImage(g.Host) {
		return cluster.GuestSaved, nil
	}
	return state, nil
}

func (d *Driver) hasImage(host string) bool {
	info, err := os.Stat(d.opt.savePath(host))
	return err == nil && info.Mode().IsRegular()
}

// guestState is the state of a domain. One that is shutting down, in libvirt's
// words, has already stopped its processors: only its QEMU remains.
func guestState(dom domain) (cluster.GuestState, error) {
	state, reason, err := dom.GetState()
	if err != nil {
		return "", err
	}
	switch state {
	case libvirt.DOMAIN_SHUTDOWN:
		return cluster.GuestOff, nil
	case libvirt.DOMAIN_PAUSED:
		switch libvirt.DomainPausedReason(reason) {
		case libvirt.DOMAIN_PAUSED_CRASHED:
			return cluster.GuestCrashed, nil
		case libvirt.DOMAIN_PAUSED_STARTING_UP:
			return cluster.GuestBooting, nil
		}
		return cluster.GuestPaused, nil
	case libvirt.DOMAIN_PMSUSPENDED:
		return cluster.GuestPaused, nil
	case libvirt.DOMAIN_CRASHED:
		return cluster.GuestCrashed, nil
	case libvirt.DOMAIN_SHUTOFF:
		switch libvirt.DomainShutoffReason(reason) {
		case libvirt.DOMAIN_SHUTOFF_CRASHED, libvirt.DOMAIN_SHUTOFF_FAILED:
			return cluster.GuestCrashed, nil
		}
		return cluster.GuestOff, nil
	}
	description, err := dom.GetXMLDesc(0)
	if err != nil {
		return "", err
	}
	if has, connected, err := agentState(description); err != nil || (has && !connected) {
		return cluster.GuestBooting, err
	}
	return cluster.GuestRunning, nil
}

// Start boots a guest that is off, defining it first where the hypervisor does
// not know it and there is a definition. It returns once the hypervisor has
// started it.
func (d *Driver) Start(ctx context.Context, g cluster.Guest) error {
	err := d.call(ctx, g.Real, func(c conn) error {
		dom, err := c.LookupDomainByName(g.Host)
		if errors.Is(err, libvirt.ERR_NO_DOMAIN) {
			dom, err = d.define(c, g.Host, err)
		}
		if err != nil {
			return err
		}
		defer func() { _ = dom.Free() }() // only memory
		return start(dom)
	})
	if err == nil {
		err = d.removeImage(g.Host) // it is of an older run now
	}
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", g.Host, err)
	}
	return nil
}

// define makes a domain of host's definition; unknown is the error where there is none.
func (d *Driver) define(c conn, host string, unknown error) (domain, error) {
	if d.opt.Definition == "" {
		return domain{}, unknown
	}
	description, err := os.ReadFile(strings.ReplaceAll(d.opt.Definition, "{host}", host))
	if err != nil {
		return domain{}, err
	}
	return c.DomainDefineXML(string(description))
}

func start(dom domain) error {
	state, err := guestState(dom)
	if err != nil {
		return err
	}
	switch state {
	case cluster.GuestRunning, cluster.GuestBooting:
		return nil
	case cluster.GuestPaused:
		return errors.New("it is paused")
	}
	// Something of a dead one may still be there: kept for its evidence, or a
	// QEMU that has not ended yet.
	raw, _, err := dom.GetState()
	if err == nil && raw != libvirt.DOMAIN_SHUTOFF {
		err = dom.Destroy()
	}
	if err != nil && !errors.Is(err, libvirt.ERR_OPERATION_INVALID) {
		return err
	}
	return dom.Create()
}

// unless runs do unless the domain of g is in one of the states already, or comes
// into it by itself meanwhile.
func (d *Driver) unless(ctx context.Context, g cluster.Guest, verb string, do func(domain) error, states ...libvirt.DomainState) error {
	is := func(dom domain) (bool, error) {
		now, _, err := dom.GetState()
		return slices.Contains(states, now), err
	}
	err := d.withDomain(ctx, g, func(dom domain) error {
		if done, err := is(dom); done || err != nil {
			return err
		}
		err := do(dom)
		if err == nil {
			return nil
		}
		if done, serr := is(dom); serr == nil && done {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot %s %s: %w", verb, g.Host, err)
	}
	return nil
}

// Resume resumes a paused guest; one that runs is no error.
func (d *Driver) Resume(ctx context.Context, g cluster.Guest) error {
	return d.unless(ctx, g, "resume", domain.Resume, libvirt.DOMAIN_RUNNING)
}

// Pause pauses a running guest; one that is paused is no error.
func (d *Driver) Pause(ctx context.Context, g cluster.Guest) error {
	return d.unless(ctx, g, "pause", domain.Suspend, libvirt.DOMAIN_PAUSED)
}

// Reset is the guest's reset button; from then on the guest is booting.
func (d *Driver) Reset(ctx context.Context, g cluster.Guest) error {
	return d.unless(ctx, g, "reset", func(dom domain) error {
		err := dom.Reset()
		if err == nil {
			d.host(g.Real).news.note(g.Host, cluster.EventRebooted)
		}
		return err
	})
}

// Destroy pulls the guest's plug; one that is off or absent is no error.
func (d *Driver) Destroy(ctx context.Context, g cluster.Guest) error {
	err := d.unless(ctx, g, "destroy", domain.Destroy, libvirt.DOMAIN_SHUTOFF)
	if errors.Is(err, libvirt.ERR_NO_DOMAIN) {
		return nil
	}
	return err
}

// SetLink plugs or unplugs all network interfaces of g. Its agent goes on answering.
func (d *Driver) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	err := d.withDomain(ctx, g, func(dom domain) error {
		description, err := dom.GetXMLDesc(0)
		if err != nil {
			return err
		}
		interfaces, err := interfacesWithLink(description, up)
		if err != nil {
			return err
		}
		for _, i := range interfaces {
			if err := dom.UpdateDeviceFlags(i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot set the link of %s: %w", g.Host, err)
	}
	return nil
}

// Guests lists all guests that the hypervisor of real knows.
func (d *Driver) Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error) {
	var out []cluster.GuestInfo
	err := d.call(ctx, real, func(c conn) error {
		all, err := c.ListAllDomains()
		if err != nil {
			return err
		}
		for _, dom := range all {
			info, ierr := guestInfo(dom)
			err = errors.Join(err, ierr, dom.Free())
			if ierr == nil {
				out = append(out, info)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the guests of %v: %w", real, err)
	}
	return out, nil
}

func guestInfo(dom domain) (cluster.GuestInfo, error) {
	name, err := dom.GetName()
	if err != nil {
		return cluster.GuestInfo{}, err
	}
	state, err := guestState(dom)
	if errors.Is(err, libvirt.ERR_NO_DOMAIN) {
		state, err = cluster.GuestAbsent, nil // it went away just now
	}
	return cluster.GuestInfo{Host: name, State: state}, err
}

// FreeMemoryKB is the free memory of real.
func (d *Driver) FreeMemoryKB(ctx context.Context, real netip.Addr) (int64, error) {
	var bytes uint64
	err := d.call(ctx, real, func(c conn) (err error) {
		bytes, err = c.GetFreeMemory()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot ask for the free memory of %v: %w", real, err)
	}
	return int64(bytes / 1024), nil
}

// HypervisorAlive is nil when the virtualization software of real answers.
func (d *Driver) HypervisorAlive(ctx context.Context, real netip.Addr) error {
	return d.call(ctx, real, func(c conn) error {
		_, err := c.GetLibVersion()
		return err
	})
}
