package access

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/google/gopacket/layers"
)

// FuzzStream reads any bytes as a pcap stream: it ends with an error, and never
// counts for nobody.
func FuzzStream(f *testing.F) {
	for _, link := range []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeRaw} {
		b, err := os.ReadFile(pcapFile(f, link, packet(f, vip, false, syn), packet(f, vip6, true, another)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := newStream(bytes.NewReader(b))
		if err != nil {
			return
		}
		c := Counter{seen: map[netip.Addr]uint64{}}
		if err := c.count(t.Context(), r, r.LinkType()); err == nil {
			t.Error("a stream that ended without an error")
		}
		for a := range c.seen {
			if !a.IsValid() {
				t.Error("an access to nowhere")
			}
		}
	})
}

// A header that promises packets of 4 GB makes no buffer for them.
func TestPromisedPacket(t *testing.T) {
	b, err := os.ReadFile(pcapFile(t, layers.LinkTypeEthernet, packet(t, vip, false, syn)))
	if err != nil {
		t.Fatal(err)
	}
	for _, snaplen := range []uint32{0, 1<<32 - 1} { // 0: "no limit" to tcpdump
		binary.LittleEndian.PutUint32(b[16:], snaplen)
		r, err := newStream(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := Counter{seen: map[netip.Addr]uint64{}}
		if err := c.count(t.Context(), r, r.LinkType()); err != io.EOF || len(c.seen) != 1 {
			t.Errorf("snap length %d: %v, %v", snaplen, c.seen, err)
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
			t.Errorf("snap length %d: %d bytes allocated", snaplen, grown)
		}
	}
}
