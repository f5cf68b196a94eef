//go:build libvirt_dlopen

package virt

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"libvirt.org/go/libvirt"

	"pss-msbs/pkg/cluster"
)

// moveTimeout bounds a save, restore or migration whose context has no deadline.
const moveTimeout = 5 * time.Minute

// Save writes g to its image on shared storage, after which it runs nowhere.
func (d *Driver) Save(ctx context.Context, g cluster.Guest) error {
	ctx, cancel := d.limit(ctx, moveTimeout)
	defer cancel()
	err := d.withDomain(ctx, g, func(dom domain) error {
		return dom.Save(d.opt.savePath(g.Host))
	})
	if err != nil {
		return fmt.Errorf("cannot save %s: %w", g.Host, err)
	}
	return nil
}

// Restore runs g from its image on g.Real. The image is then removed, so that
// nobody runs the same guest from it a second time.
func (d *Driver) Restore(ctx context.Context, g cluster.Guest) error {
	ctx, cancel := d.limit(ctx, moveTimeout)
	defer cancel()
	path := d.opt.savePath(g.Host)
	err := d.call(ctx, g.Real, func(c conn) error {
		err := c.DomainRestoreFlags(path)
		if err != nil && d.forget(c, g.Host) {
			err = c.DomainRestoreFlags(path)
		}
		if err != nil {
			return err
		}
		return d.removeImage(g.Host)
	})
	if err != nil {
		return fmt.Errorf("cannot restore %s on %v: %w", g.Host, g.Real, err)
	}
	return nil
}

// forget removes a domain of host's name that this driver once defined there and
// that does not run. A hypervisor restores no guest whose name it knows with
// another UUID, and a definition without one gets another each time.
func (d *Driver) forget(c conn, host string) bool {
	if d.opt.Definition == "" {
		return false
	}
	dom, err := c.LookupDomainByName(host)
	if err != nil {
		return false
	}
	defer func() { _ = dom.Free() }() // only memory
	runs, err := dom.IsActive()
	return err == nil && !runs && dom.Undefine() == nil
}

func (d *Driver) removeImage(host string) error {
	if err := os.Remove(d.opt.savePath(host)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// Migrate moves the running g to the real server to. A migration that outlasts
// ctx is aborted.
func (d *Driver) Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error {
	ctx, cancel := d.limit(ctx, moveTimeout)
	defer cancel()
	err := d.withDomain(ctx, g, func(dom domain) error {
		return d.call(ctx, to, func(dst conn) error { return d.migrate(dom, dst, to) })
	})
	if err == nil {
		return nil
	}
	if errors.Is(err, errSlow) {
		d.abort(ctx, g)
	}
	return fmt.Errorf("cannot migrate %s to %v: %w", g.Host, to, err)
}

func (d *Driver) migrate(dom domain, dst conn, to netip.Addr) error {
	flags := libvirt.MIGRATE_LIVE
	if d.opt.Definition == "" {
		flags |= libvirt.MIGRATE_PERSIST_DEST // or it could not be started there again
	}
	if d.opt.CopyStorage {
		flags |= libvirt.MIGRATE_NON_SHARED_DISK
	}
	var params libvirt.DomainMigrateParameters
	if d.opt.MigrateURI != "" {
		params.URISet, params.URI = true, strings.ReplaceAll(d.opt.MigrateURI, "{ip}", to.String())
	}
	moved, err := dom.Migrate(dst, &params, flags)
	if err != nil {
		return err
	}
	return moved.Free()
}

// abort ends a migration that nobody waits for any more.
func (d *Driver) abort(ctx context.Context, g cluster.Guest) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.opt.CallTimeout)
	defer cancel()
	// Whether it worked is for the next look at the guest to say.
	_ = d.withDomain(ctx, g, domain.AbortJob)
}
