package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/cluster"
)

var (
	mac1 = cluster.MAC{2, 0, 0, 0, 0, 1}
	mac2 = cluster.MAC{2, 0, 0, 0, 0, 2}
	vip  = netip.MustParseAddr("172.21.14.101")
)

// fakeAsker hears answers at times counted from a question.
type fakeAsker struct {
	deaf    int // questions that nobody hears
	answers []fakeAnswer
	asked   int
	since   time.Time
	next    int
	err     error
}

type fakeAnswer struct {
	after time.Duration
	mac   cluster.MAC
}

func (f *fakeAsker) ask() error {
	f.asked++
	if f.asked == f.deaf+1 {
		f.since = time.Now()
	}
	return f.err
}

func (f *fakeAsker) answer(t time.Time) (cluster.MAC, error) {
	if f.since.IsZero() || f.next >= len(f.answers) || f.since.Add(f.answers[f.next].after).After(t) {
		time.Sleep(time.Until(t))
		return cluster.MAC{}, errNobody
	}
	a := f.answers[f.next]
	f.next++
	time.Sleep(time.Until(f.since.Add(a.after)))
	return a.mac, nil
}

func (f *fakeAsker) Close() error { return nil }

func TestCollect(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name  string
		f     fakeAsker
		limit time.Duration
		want  []cluster.MAC
		asked int
		takes time.Duration
	}{
		{name: "nobody", asked: 4, takes: askWindow},
		{name: "one", f: fakeAsker{answers: []fakeAnswer{{5 * ms, mac1}}}, want: []cluster.MAC{mac1}, asked: 1, takes: 5*ms + askMore},
		{name: "two", f: fakeAsker{answers: []fakeAnswer{{5 * ms, mac1}, {50 * ms, mac2}}}, want: []cluster.MAC{mac1, mac2}, asked: 1, takes: 5*ms + askMore},
		{name: "one, twice", f: fakeAsker{answers: []fakeAnswer{{5 * ms, mac1}, {6 * ms, mac1}}}, want: []cluster.MAC{mac1}, asked: 1, takes: 5*ms + askMore},
		{name: "too late", f: fakeAsker{answers: []fakeAnswer{{5 * ms, mac1}, {150 * ms, mac2}}}, want: []cluster.MAC{mac1}, asked: 1, takes: 5*ms + askMore},
		{name: "lost question", f: fakeAsker{deaf: 2, answers: []fakeAnswer{{5 * ms, mac1}}}, want: []cluster.MAC{mac1}, asked: 3, takes: 2*askEvery + 5*ms + askMore},
		{name: "slow answer", f: fakeAsker{answers: []fakeAnswer{{400 * ms, mac1}}}, want: []cluster.MAC{mac1}, asked: 3, takes: 400*ms + askMore},
		{name: "short deadline", limit: 200 * ms, asked: 2, takes: 200 * ms},
		{name: "short deadline after an answer", limit: 50 * ms, f: fakeAsker{answers: []fakeAnswer{{5 * ms, mac1}}}, want: []cluster.MAC{mac1}, asked: 1, takes: 50 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if c.limit > 0 {
					ctx, cancel = context.WithTimeout(ctx, c.limit)
				}
				defer cancel()
				begin := time.Now()
				got, err := collect(ctx, &c.f)
				if took := time.Since(begin); err != nil || !slices.Equal(got, c.want) || c.f.asked != c.asked || took != c.takes {
					t.Errorf("%v, %v, asked %d times, took %v", got, err, c.f.asked, took)
				}
			})
		})
	}
}

func TestCollectFails(t *testing.T) {
	broken := errors.New("network is down")
	if _, err := collect(t.Context(), &fakeAsker{err: broken}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestARPPackets(t *testing.T) {
	us := netip.MustParseAddr("172.21.14.200")
	request := arpRequestFor(net.HardwareAddr(mac2[:]), us, vip)
	want := []byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 172, 21, 14, 200, 0, 0, 0, 0, 0, 0, 172, 21, 14, 101}
	if !slices.Equal(request, want) {
		t.Errorf("request is %v", request)
	}
	if mac, ok := arpSender(request, vip); ok {
		t.Errorf("our own question was taken for an answer of %v", mac)
	}
	reply := []byte{0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 172, 21, 14, 101, 2, 0, 0, 0, 0, 2, 172, 21, 14, 200}
	padded := append(slices.Clone(reply), make([]byte, 18)...)
	for _, b := range [][]byte{reply, padded} {
		if mac, ok := arpSender(b, vip); !ok || mac != mac1 {
			t.Errorf("%v, %v", mac, ok)
		}
	}
	if _, ok := arpSender(reply, us); ok {
		t.Error("an answer for another address was taken")
	}
	for i := range reply {
		if _, ok := arpSender(reply[:i], vip); ok {
			t.Errorf("%d octets were taken", i)
		}
	}
}

func TestNDPackets(t *testing.T) {
	ip := netip.MustParseAddr("fd14::101")
	if b := solicitation(net.HardwareAddr(mac2[:]), ip); len(b) != 28 || b[20] != 1 || b[21] != 1 {
		t.Errorf("solicitation is %v", b)
	}
	body := append([]byte{0x60, 0, 0, 0}, ip.AsSlice()...)
	other := []byte{5, 1, 0, 0, 0, 0, 0, 0}
	option := append([]byte{targetLinkLayer, 1}, mac1[:]...)
	for _, c := range []struct {
		name string
		body []byte
		ok   bool
	}{
		{"plain", slices.Concat(body, option), true},
		{"behind another option", slices.Concat(body, other, option), true},
		{"no option", body, false},
		{"option of no length", slices.Concat(body, []byte{5, 0, 0, 0, 0, 0, 0, 0}, option), false},
		{"option too long", slices.Concat(body, []byte{5, 9, 0, 0, 0, 0, 0, 0}), false},
		{"short", body[:10], false},
	} {
		if mac, ok := advertiser(c.body, ip); ok != c.ok || (ok && mac != mac1) {
			t.Errorf("%s: %v, %v", c.name, mac, ok)
		}
	}
	if _, ok := advertiser(slices.Concat(body, option), netip.MustParseAddr("fd14::102")); ok {
		t.Error("an answer for another address was taken")
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 172, 21, 14, 101, 2, 0, 0, 0, 0, 2, 172, 21, 14, 200})
	f.Fuzz(func(_ *testing.T, b []byte) {
		arpSender(b, vip)
		advertiser(b, netip.IPv6Loopback())
	})
}

func TestWhoHasElsewhere(t *testing.T) {
	// Loopback is no network of Ethernet addresses.
	if macs, err := (Prober{}).WhoHas(t.Context(), netip.MustParseAddr("127.0.0.5")); err == nil {
		t.Errorf("%v", macs)
	}
}
