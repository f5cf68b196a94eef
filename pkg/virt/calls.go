//go:build libvirt_dlopen

package virt

import (
	"context"

	"libvirt.org/go/libvirt"
)

// conn is a connection in the hands of one caller, with libvirt's own names for
// what is asked over it. Nothing is begun once that caller has gone.
type conn struct {
	ctx context.Context
	c   *libvirt.Connect
}

// domain is a domain over such a connection.
type domain struct {
	ctx context.Context
	d   *libvirt.Domain
}

// ask is begin for a call with an answer.
func ask[T any](ctx context.Context, call func() (T, error)) (answer T, err error) {
	err = begin(ctx, func() (err error) { answer, err = call(); return err })
	return answer, err
}

func (c conn) domain(call func() (*libvirt.Domain, error)) (domain, error) {
	d, err := ask(c.ctx, call)
	return domain{c.ctx, d}, err
}

func (c conn) LookupDomainByName(name string) (domain, error) {
	return c.domain(func() (*libvirt.Domain, error) { return c.c.LookupDomainByName(name) })
}

func (c conn) DomainDefineXML(description string) (domain, error) {
	return c.domain(func() (*libvirt.Domain, error) { return c.c.DomainDefineXML(description) })
}

func (c conn) DomainRestoreFlags(path string) error {
	return begin(c.ctx, func() error { return c.c.DomainRestoreFlags(path, "", libvirt.DOMAIN_SAVE_RUNNING) })
}

func (c conn) ListAllDomains() ([]domain, error) {
	all, err := ask(c.ctx, func() ([]libvirt.Domain, error) { return c.c.ListAllDomains(0) })
	out := make([]domain, len(all))
	for i := range all {
		out[i] = domain{c.ctx, &all[i]}
	}
	return out, err
}

func (c conn) GetFreeMemory() (uint64, error) { return ask(c.ctx, c.c.GetFreeMemory) }
func (c conn) GetLibVersion() (uint32, error) { return ask(c.ctx, c.c.GetLibVersion) }

// Free and GetName ask nobody.
func (d domain) Free() error              { return d.d.Free() }
func (d domain) GetName() (string, error) { return d.d.GetName() }

func (d domain) GetState() (state libvirt.DomainState, reason int, err error) {
	err = begin(d.ctx, func() (err error) { state, reason, err = d.d.GetState(); return err })
	return state, reason, err
}

func (d domain) GetXMLDesc(flags libvirt.DomainXMLFlags) (string, error) {
	return ask(d.ctx, func() (string, error) { return d.d.GetXMLDesc(flags) })
}

func (d domain) QemuAgentCommand(command string, seconds int) (string, error) {
	return ask(d.ctx, func() (string, error) {
		return d.d.QemuAgentCommand(command, libvirt.DomainQemuAgentCommandTimeout(seconds), 0)
	})
}

func (d domain) UpdateDeviceFlags(description string) error {
	return begin(d.ctx, func() error { return d.d.UpdateDeviceFlags(description, libvirt.DOMAIN_DEVICE_MODIFY_LIVE) })
}

func (d domain) Create() error {
	return begin(d.ctx, func() error { return d.d.CreateWithFlags(libvirt.DOMAIN_START_FORCE_BOOT) })
}

func (d domain) Save(path string) error {
	return begin(d.ctx, func() error { return d.d.SaveFlags(path, "", 0) })
}

func (d domain) Migrate(dst conn, params *libvirt.DomainMigrateParameters, flags libvirt.DomainMigrateFlags) (*libvirt.Domain, error) {
	return ask(d.ctx, func() (*libvirt.Domain, error) { return d.d.Migrate3(dst.c, params, flags) })
}

func (d domain) IsActive() (bool, error) { return ask(d.ctx, d.d.IsActive) }
func (d domain) Resume() error           { return begin(d.ctx, d.d.Resume) }
func (d domain) Suspend() error          { return begin(d.ctx, d.d.Suspend) }
func (d domain) Destroy() error          { return begin(d.ctx, d.d.Destroy) }
func (d domain) Undefine() error         { return begin(d.ctx, d.d.Undefine) }
func (d domain) AbortJob() error         { return begin(d.ctx, d.d.AbortJob) }
func (d domain) Reset() error            { return begin(d.ctx, func() error { return d.d.Reset(0) }) }
