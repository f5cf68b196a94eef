// Package virt is the hypervisors of the real servers, through libvirt; it
// alone imports libvirt, and only with the build tag libvirt_dlopen, which
// loads the library at run time.
//
// No call outlasts its context, also where libvirt hangs inside C: the call
// and its connection are then left behind, and others go on over a new one. Of
// what is done in several steps no step is begun once the context has ended.
package virt

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Options says how hypervisors are reached. {ip} stands for the real server's
// address, {host} for the guest's name.
type Options struct {
	URI           string
	Management    netip.Addr // this address is reached by ManagementURI
	ManagementURI string
	Definition    string        // path of a guest's domain XML; empty: hypervisors have it
	SavePath      string        // of a saved image, on storage that all share
	MigrateURI    string        // where a real server receives a migration; empty: libvirt chooses
	CopyStorage   bool          // a migration copies the disks
	CallTimeout   time.Duration // of a call whose context has no deadline
}

// uri is where the hypervisor of real is reached.
func (o Options) uri(real netip.Addr) string {
	t := o.URI
	if real == o.Management {
		t = o.ManagementURI
	}
	return strings.ReplaceAll(t, "{ip}", real.String())
}

// savePath is the saved image of host.
func (o Options) savePath(host string) string { return strings.ReplaceAll(o.SavePath, "{host}", host) }

// The ports of libvirt's transports.
var transportPorts = map[string]string{"ssh": "22", "libssh": "22", "libssh2": "22", "tcp": "16509", "tls": "16514"}

// transportAddress is the TCP address behind a connection URI, empty for a
// local one. A host that is off is told by dialling it, which unlike libvirt
// can be given a deadline.
func transportAddress(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", fmt.Errorf("cannot read the hypervisor's address: %v", err)
	}
	_, transport, _ := strings.Cut(u.Scheme, "+")
	if u.Host == "" || transport == "unix" {
		return "", nil
	}
	if transport == "" {
		transport = "tls"
	}
	port := u.Port()
	if port == "" {
		port = transportPorts[transport]
	}
	if port == "" {
		return "", fmt.Errorf("cannot read the hypervisor's address %q: unknown transport %q", uri, transport)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
