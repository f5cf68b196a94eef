package conffile

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
)

// BenchmarkView is what each of the monitors does in each of its intervals.
func BenchmarkView(b *testing.B) {
	dir := paper(b)
	past := time.Now().Add(-time.Hour)
	for _, name := range Names() {
		if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
			b.Fatal(err)
		}
	}
	d := Open(dir, Options{})
	if err := d.Renew(ctx); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := d.View(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdate is a change of two files, as A3 makes it.
func BenchmarkUpdate(b *testing.B) {
	d := Open(paper(b), Options{})
	benchmarkUpdate(b, d)
}

// BenchmarkUpdateWatched is the same while the sif of 300 servers watch, which
// should not cost it much.
func BenchmarkUpdateWatched(b *testing.B) {
	dir := paper(b)
	ctx, cancel := context.WithCancel(b.Context())
	var watching sync.WaitGroup
	for range 300 {
		changes := Open(dir, Options{}).Watch(ctx)
		watching.Go(func() {
			for range changes {
			}
		})
	}
	defer watching.Wait()
	defer cancel()
	benchmarkUpdate(b, Open(dir, Options{}))
}

func benchmarkUpdate(b *testing.B, d *Dir) {
	edits := []func(*cluster.Tables) error{takeover, handBack}
	for i := 0; b.Loop(); i++ {
		if err := d.Update(ctx, edits[i%2]); err != nil {
			b.Fatal(err)
		}
	}
}

func handBack(t *cluster.Tables) error {
	t.Operation = append(t.Operation, take(&t.Separation, "M1")...)
	return nil
}
