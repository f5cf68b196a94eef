package virt

import (
	"net/netip"
	"strings"
	"testing"
)

// liveDomain is what libvirt 9.0 says of a running guest, shortened.
const liveDomain = `<domain type='qemu' id='3'>
  <name>M1</name>
  <devices>
    <interface type='bridge'>
      <mac address='52:54:00:00:0e:01'/>
      <source bridge='br0'/>
      <target dev='vnet2'/>
      <model type='virtio'/>
      <link state='down'/>
      <alias name='net0'/>
      <rom enabled='no'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </interface>
    <interface type='direct' trustGuestRxFilters='yes'><source dev='eth"0&amp;1' mode='bridge'/></interface>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0' state='disconnected'/></channel>
    <channel type='unix'>
      <source mode='bind' path='/run/libvirt/qemu/channel/3-M1/org.qemu.guest_agent.0'/>
      <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
    </channel>
  </devices>
</domain>`

func TestAgentState(t *testing.T) {
	for _, c := range []struct {
		name, xml      string
		has, connected bool
	}{
		{"connected", liveDomain, true, true},
		{"disconnected", strings.Replace(liveDomain, "state='connected'", "state='disconnected'", 1), true, false},
		{"off", strings.Replace(liveDomain, " state='connected'", "", 1), true, false},
		{"without", "<domain><devices/></domain>", false, false},
	} {
		has, connected, err := agentState(c.xml)
		if err != nil || has != c.has || connected != c.connected {
			t.Errorf("%s: %v, %v, %v", c.name, has, connected, err)
		}
	}
	if _, _, err := agentState("<domain>"); err == nil {
		t.Error("half a description was read")
	}
}

func TestInterfacesWithLink(t *testing.T) {
	got, err := interfacesWithLink(liveDomain, true)
	if err != nil || len(got) != 2 {
		t.Fatalf("%q, %v", got, err)
	}
	for _, want := range []string{"<mac address='52:54:00:00:0e:01'/>", `<link state="up"/></interface>`, "<target dev='vnet2'/>", `<interface type="bridge">`} {
		if !strings.Contains(got[0], want) || strings.Count(got[0], "<link") != 1 {
			t.Errorf("no %s, once, in %s", want, got[0])
		}
	}
	if want := `<interface type="direct" trustGuestRxFilters="yes"><source dev='eth"0&amp;1' mode='bridge'/><link state="up"/></interface>`; got[1] != want {
		t.Errorf("%s\nwant %s", got[1], want)
	}
	again, err := interfacesWithLink("<domain><devices>"+got[0]+"</devices></domain>", false)
	if err != nil || len(again) != 1 || !strings.Contains(again[0], `<link state="down"/>`) || strings.Count(again[0], "<link") != 1 {
		t.Errorf("%q, %v", again, err)
	}
}

func FuzzInterfaces(f *testing.F) {
	f.Add(liveDomain)
	f.Fuzz(func(t *testing.T, description string) {
		got, err := interfacesWithLink(description, false)
		if err != nil {
			return
		}
		for _, i := range got {
			again, err := interfacesWithLink("<domain><devices>"+i+"</devices></domain>", false)
			if err != nil || len(again) != 1 {
				t.Errorf("%q became %q, which is no interface: %v", description, i, err)
			}
		}
	})
}

func TestTransportAddress(t *testing.T) {
	for uri, want := range map[string]string{
		"qemu:///system":                        "",
		"qemu+unix:///system?socket=/run/x":     "",
		"qemu+tcp://172.21.14.201/system":       "172.21.14.201:16509",
		"qemu+tcp://[fd14::201]:1234/system":    "[fd14::201]:1234",
		"qemu+ssh://root@172.21.14.201/system":  "172.21.14.201:22",
		"qemu+libssh2://root@172.21.14.201:2/s": "172.21.14.201:2",
		"qemu://172.21.14.201/system":           "172.21.14.201:16514",
		"test:///default":                       "",
	} {
		if got, err := transportAddress(uri); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", uri, got, err, want)
		}
	}
	for _, uri := range []string{"qemu+ext://host/system", "qemu+tcp://host:port/"} {
		if got, err := transportAddress(uri); err == nil {
			t.Errorf("%s: %q", uri, got)
		}
	}
}

func TestURI(t *testing.T) {
	mgmt := netip.MustParseAddr("172.21.14.200")
	o := Options{URI: "qemu+tcp://{ip}/system", Management: mgmt, ManagementURI: "qemu:///system", SavePath: "/srv/{host}.save"}
	if got := o.uri(mgmt); got != "qemu:///system" {
		t.Error(got)
	}
	if got := o.uri(netip.MustParseAddr("172.21.14.201")); got != "qemu+tcp://172.21.14.201/system" {
		t.Error(got)
	}
	if got := o.savePath("Ws"); got != "/srv/Ws.save" {
		t.Error(got)
	}
}
