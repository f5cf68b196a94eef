//go:build libvirt_dlopen

package virt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"libvirt.org/go/libvirt"

	"pss-msbs/pkg/cluster"
)

// AgentCommand sends one command, in JSON, to the guest agent of g and returns
// its answer. An agent whose channel is closed is cluster.ErrAgentGone, at once;
// one that has not answered in time merely cluster.ErrAgentSilent.
func (d *Driver) AgentCommand(ctx context.Context, g cluster.Guest, command string) (string, error) {
	if dead := d.host(g.Real).news.died(g.Host); dead != "" {
		return "", fmt.Errorf("it is %s: %w", dead, cluster.ErrAgentGone)
	}
	ctx, cancel := d.limit(ctx, d.opt.CallTimeout)
	defer cancel()
	var answer string // not to be touched after a call that was left behind
	err := d.host(g.Real).calls.do(ctx, func(c *libvirt.Connect) error {
		dom, err := conn{ctx, c}.LookupDomainByName(g.Host)
		if errors.Is(err, libvirt.ERR_NO_DOMAIN) {
			return agentFailure{err, cluster.ErrAgentGone}
		}
		if err != nil {
			return err
		}
		defer func() { _ = dom.Free() }() // only memory
		deadline, _ := ctx.Deadline()
		// Libvirt counts in whole seconds; it should be the first to give up.
		answer, err = dom.QemuAgentCommand(command, max(1, int(time.Until(deadline)/time.Second)))
		return agentError(dom, err)
	})
	var f agentFailure
	switch {
	case err == nil:
		return answer, nil
	case errors.As(err, &f):
		return "", f.told()
	case errors.Is(err, errSlow):
		return "", cluster.Unknown(fmt.Errorf("%v: %w", err, cluster.ErrAgentSilent))
	}
	return "", silent(g.Real, readable(err))
}

// agentFailure is an agent that did not answer, of one of cluster's kinds.
type agentFailure struct{ why, kind error }

// Error implements error.
func (f agentFailure) Error() string { return f.why.Error() }

// told is the failure as callers know it. Whether the agent has got the command is
// not known, but where there was no channel from the start.
func (f agentFailure) told() error {
	err := fmt.Errorf("%v: %w", readable(f.why), f.kind)
	if f.kind == cluster.ErrAgentGone && !saysDisappeared(f.why) {
		return err
	}
	return cluster.Unknown(err)
}

// agentQuestions is what agentError asks about a domain.
type agentQuestions interface {
	GetState() (libvirt.DomainState, int, error)
	GetXMLDesc(libvirt.DomainXMLFlags) (string, error)
}

// agentError tells, among the errors of a call to an agent, one that is gone, one
// that is silent, and those of the command itself. Libvirt has one code for an
// agent whose channel is closed and for one that does not answer in time, and
// another for a guest that is off and for one that is paused.
func agentError(dom agentQuestions, err error) error {
	switch {
	case errors.Is(err, libvirt.ERR_AGENT_UNSYNCED), errors.Is(err, libvirt.ERR_AGENT_COMMAND_TIMEOUT):
		return agentFailure{err, cluster.ErrAgentSilent}
	case errors.Is(err, libvirt.ERR_AGENT_UNRESPONSIVE), errors.Is(err, libvirt.ERR_OPERATION_INVALID):
		if saysGone(err) || channelGone(dom) {
			return agentFailure{err, cluster.ErrAgentGone}
		}
		return agentFailure{err, cluster.ErrAgentSilent}
	}
	return err
}

// saysGone spares the question where libvirt speaks English: while it clears away
// a guest that crashed, it answers none about it.
func saysGone(err error) bool {
	var e libvirt.Error
	return errors.As(err, &e) && e.Code == libvirt.ERR_AGENT_UNRESPONSIVE &&
		(strings.Contains(e.Message, "not connected") || strings.Contains(e.Message, "disappeared"))
}

// saysDisappeared reports whether the channel was closed during the call.
func saysDisappeared(err error) bool {
	var e libvirt.Error
	return errors.As(err, &e) && e.Code == libvirt.ERR_AGENT_UNRESPONSIVE && !strings.Contains(e.Message, "not connected")
}

// channelGone reports whether a domain neither runs with an agent that has opened
// its channel nor is held up by the hypervisor.
func channelGone(dom agentQuestions) bool {
	state, _, err := dom.GetState()
	if err != nil {
		return errors.Is(err, libvirt.ERR_NO_DOMAIN)
	}
	switch state {
	case libvirt.DOMAIN_PAUSED, libvirt.DOMAIN_PMSUSPENDED:
		return false
	case libvirt.DOMAIN_RUNNING, libvirt.DOMAIN_BLOCKED:
		description, err := dom.GetXMLDesc(0)
		if err != nil {
			return false
		}
		has, connected, err := agentState(description)
		return err == nil && has && !connected
	}
	return true
}
