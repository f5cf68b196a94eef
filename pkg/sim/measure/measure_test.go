package measure

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		argv []string
		want Command
		bad  bool
	}{
		{argv: []string{"free", "-k"}, want: Command{Name: "free"}},
		{argv: []string{"/usr/bin/free"}, want: Command{Name: "free"}},
		{argv: []string{"sar", "1", "3"}, want: Command{Name: "sar", cpu: true, interval: time.Second, count: 3}},
		{argv: []string{"env", "LC_ALL=C", "sar", "-n", "DEV", "2", "1"}, want: Command{Name: "sar", dev: true, interval: 2 * time.Second, count: 1}},
		{argv: []string{"sar", "-u", "-n", "DEV", "1", "1"}, want: Command{Name: "sar", cpu: true, dev: true, interval: time.Second, count: 1}},
		{argv: nil, bad: true},
		{argv: []string{"env"}, bad: true},
		{argv: []string{"free", "-m"}, bad: true},
		{argv: []string{"sar", "-u"}, bad: true},
		{argv: []string{"sar", "-n", "SOCK", "1", "1"}, bad: true},
		{argv: []string{"sar", "0", "1"}, bad: true},
		{argv: []string{"sh", "-c", "free"}, bad: true},
	} {
		got, err := Parse(tc.argv)
		if (err != nil) != tc.bad || !tc.bad && got != tc.want {
			t.Errorf("%q: %+v, %v", tc.argv, got, err)
		}
	}
}
