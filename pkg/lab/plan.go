package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"pss-msbs/pkg/cluster"
)

// Host is a real server, or the management server.
type Host struct {
	Name string
	IP   netip.Addr
	MAC  cluster.MAC // of the bridge that its guests share with it
}

// Server is a virtual, backup or spare server.
type Server struct {
	Host    string
	IP      netip.Addr
	Daemons []string // what a full guest starts
	Home    string   // the host that a home server is at home on
}

// Peer is a machine that hosts no guests: the load balancer, the client.
type Peer struct {
	Name string
	IP   netip.Addr
}

// Plan says what a lab consists of. All addresses lie in one /24.
type Plan struct {
	Hosts   []Host
	Servers []Server
	Peers   []Peer
	Switch  netip.Addr // the switch's own address, something to ping; not valid: none
	Disk    string     // root file system under every guest's overlay; empty: the small guests, which live in memory
}

// Small is the smallest lab that can show a takeover (paper, Fig. 7(b)): the
// management server and RS1, for guests M1 and Mb.
func Small() Plan {
	return Plan{
		Hosts:   []Host{host("mgmt", 200), host("RS1", 201)},
		Servers: []Server{{Host: "M1", IP: address(1)}, {Host: "Mb", IP: address(61)}},
		Switch:  address(210),
	}
}

// The machines of the paper's system (SPEC 1) besides the guests.
const (
	management   = "mgmt"
	loadBalancer = "lb"
	clientHost   = "client"
)

// service is one group: its daemons, its home servers by the last part of
// their address, and the ports that the load balancer passes on.
type service struct {
	group   string
	letter  string
	daemons []string
	homes   []int
	hosts   []string // of homes
	ports   []int
}

var services = []service{
	{"Mail", "M", []string{"dovecot", "postfix"}, []int{1, 4}, []string{"RS1", "RS2"}, []int{25, 143}},
	{"Web", "W", []string{"httpd"}, []int{2, 5}, []string{"RS1", "RS3"}, []int{80}},
	{"FTP", "F", []string{"vsftpd"}, []int{3, 6}, []string{"RS2", "RS3"}, []int{21}},
}

// Room is the paper's whole system: three real servers and the management
// server, six home servers with their backups, three spares, the load balancer
// and a client.
func Room(disk string) Plan {
	p := Plan{
		Hosts: []Host{host(management, 200), host("RS1", 201), host("RS2", 202), host("RS3", 203)},
		Peers: []Peer{{loadBalancer, address(210)}, {clientHost, address(220)}},
		Disk:  disk,
	}
	for i, s := range services {
		for n, home := range s.homes {
			backup := s.letter + "b"
			if n > 0 {
				backup += fmt.Sprint(n + 1)
			}
			p.Servers = append(p.Servers,
				Server{fmt.Sprint(s.letter, n+1), address(home), s.daemons, s.hosts[n]},
				Server{backup, address(60 + home), s.daemons, ""})
		}
		p.Servers = append(p.Servers, Server{s.letter + "s", address(51 + i), s.daemons, ""})
	}
	return p
}

func address(last int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(last)}) }

func host(name string, last int) Host {
	return Host{Name: name, IP: address(last), MAC: cluster.MAC{2, 0, 0, 0, 14, byte(last)}}
}

// find is the real server of that name or address, or the management server.
func (p Plan) find(name string) (Host, error) {
	if strings.EqualFold(name, "management") {
		name = management
	}
	for _, h := range p.Hosts {
		if strings.EqualFold(h.Name, name) || h.IP.String() == name {
			return h, nil
		}
	}
	return Host{}, fmt.Errorf("cannot find real server %q", name)
}
