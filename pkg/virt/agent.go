//go:build libvirt_dlopen

package virt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"libvirt.org/go/libvirt"

	"pss-msbs/pkg/cluster"
)

// AgentCommand sends one command, in JSON, to the guest agent of g and returns
// its answer.
func (d *Driver) AgentCommand(ctx context.Context, g cluster.Guest, command string) (string, error) {
	ctx, cancel := d.limit(ctx, d.opt.CallTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	// Libvirt counts in whole seconds; it should be the first to give up.
	seconds := max(1, int(time.Until(deadline)/time.Second))
	var answer string // not to be touched after a call that was left behind
	err := d.host(g.Real).calls.do(ctx, func(c *libvirt.Connect) error {
		dom, err := c.LookupDomainByName(g.Host)
		if err != nil {
			return err
		}
		defer func() { _ = dom.Free() }() // only memory
		answer, err = dom.QemuAgentCommand(command, libvirt.DomainQemuAgentCommandTimeout(seconds), 0)
		return err
	})
	err = readable(err)
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(err, errSlow) || agentIsSilent(err):
		return "", fmt.Errorf("%v: %w", err, cluster.ErrAgentSilent)
	}
	return "", silent(g.Real, err)
}

// agentIsSilent tells errors of a guest that is off, or whose agent is, from
// those of the command.
func agentIsSilent(err error) bool {
	for _, code := range []libvirt.ErrorNumber{
		libvirt.ERR_AGENT_UNRESPONSIVE, libvirt.ERR_AGENT_UNSYNCED, libvirt.ERR_AGENT_COMMAND_TIMEOUT,
		libvirt.ERR_OPERATION_INVALID, libvirt.ERR_NO_DOMAIN,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}
