//go:build libvirt_dlopen

package virt

import (
	"errors"
	"slices"
	"testing"

	"libvirt.org/go/libvirt"

	"pss-msbs/pkg/cluster"
)

// guestSays answers what is asked about a domain.
type guestSays struct {
	state   libvirt.DomainState
	channel string
	err     error
}

func (g guestSays) GetState() (libvirt.DomainState, int, error) { return g.state, 0, g.err }

func (g guestSays) GetXMLDesc(libvirt.DomainXMLFlags) (string, error) {
	return `<domain><devices><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='` + g.channel + `'/></channel></devices></domain>`, g.err
}

// TestAgentError: what libvirt 9.0 says of an agent, and what that means.
func TestAgentError(t *testing.T) {
	const unresponsive, invalid = libvirt.ERR_AGENT_UNRESPONSIVE, libvirt.ERR_OPERATION_INVALID
	const runs, off, paused = libvirt.DOMAIN_RUNNING, libvirt.DOMAIN_SHUTOFF, libvirt.DOMAIN_PAUSED
	never := errors.New("asked")
	known := []string{"boots", "off", "crashed", "undefined meanwhile"} // the agent has not got the command
	for _, x := range []struct {
		name    string
		code    libvirt.ErrorNumber
		message string
		guest   guestSays
		want    error // nil: the command's own error
	}{
		{"boots", unresponsive, "Guest agent is not responding: QEMU guest agent is not connected", guestSays{err: never}, cluster.ErrAgentGone},
		{"killed during a call", unresponsive, "Guest agent is not responding: Guest agent disappeared while executing command", guestSays{err: never}, cluster.ErrAgentGone},
		{"boots, in another language", unresponsive, "ゲストエージェントが応答していません", guestSays{runs, "disconnected", nil}, cluster.ErrAgentGone},
		{"off", invalid, "Requested operation is not valid: domain is not running", guestSays{off, "", nil}, cluster.ErrAgentGone},
		{"crashed", invalid, "", guestSays{libvirt.DOMAIN_CRASHED, "", nil}, cluster.ErrAgentGone},
		{"undefined meanwhile", invalid, "", guestSays{err: libvirt.Error{Code: libvirt.ERR_NO_DOMAIN}}, cluster.ErrAgentGone},
		{"hangs", unresponsive, "Guest agent is not responding: Guest agent not available for now", guestSays{runs, "connected", nil}, cluster.ErrAgentSilent},
		{"hangs, in a call", libvirt.ERR_AGENT_COMMAND_TIMEOUT, "", guestSays{err: never}, cluster.ErrAgentSilent},
		{"out of step", libvirt.ERR_AGENT_UNSYNCED, "", guestSays{err: never}, cluster.ErrAgentSilent},
		{"paused", invalid, "Requested operation is not valid: domain is not running", guestSays{paused, "connected", nil}, cluster.ErrAgentSilent},
		{"nobody knows", unresponsive, "", guestSays{err: never}, cluster.ErrAgentSilent},
		{"the command failed", libvirt.ERR_INTERNAL_ERROR, "unable to execute QEMU agent command", guestSays{err: never}, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			err := agentError(x.guest, libvirt.Error{Code: x.code, Message: x.message})
			var f agentFailure
			if is := errors.As(err, &f); is != (x.want != nil) || f.kind != x.want {
				t.Errorf("it is %#v, want %v", err, x.want)
			} else if is && errors.Is(f.told(), cluster.ErrUnknown) == slices.Contains(known, x.name) {
				t.Errorf("its outcome is known: %v", !errors.Is(f.told(), cluster.ErrUnknown))
			}
		})
	}
	if err := agentError(guestSays{err: never}, nil); err != nil {
		t.Errorf("an answer became %v", err)
	}
}
