package ipc

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// What was written is read, also after its writer has gone; then it is the end.
func TestMemConnHoldsWhatWasWritten(t *testing.T) {
	here, there := memPipe()
	for range 3 {
		if n, err := here.Write([]byte("line\n")); n != 5 || err != nil {
			t.Fatal(n, err)
		}
	}
	here.Close()
	if b, err := io.ReadAll(there); err != nil || string(b) != "line\nline\nline\n" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := here.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read from a closed end: %v", err)
	}
	if _, err := there.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("written to nobody: %v", err)
	}
}

// More than fits waits for its reader.
func TestMemConnIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := memPipe()
		sent := bytes.Repeat([]byte("0123456789"), mostUnread/4)
		go func() {
			defer here.Close()
			_, _ = here.Write(sent)
		}()
		synctest.Wait()
		if got, err := io.ReadAll(there); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes of %d, %v", len(got), len(sent), err)
		}
	})
}

// Deadlines end reads and writes that wait, also those that wait already.
func TestMemConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		here, there := memPipe()
		_ = here.SetReadDeadline(begun.Add(time.Hour))
		time.AfterFunc(time.Second, func() { _ = here.SetReadDeadline(begun.Add(2 * time.Second)) })
		if _, err := here.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 2*time.Second {
			t.Errorf("read: %v after %v", err, time.Since(begun))
		}
		_ = there.SetDeadline(begun.Add(3 * time.Second))
		if n, err := there.Write(make([]byte, 2*mostUnread)); n != mostUnread || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 3*time.Second {
			t.Errorf("write: %d, %v after %v", n, err, time.Since(begun))
		}
		_ = here.SetReadDeadline(time.Time{})
		if n, err := here.Read(make([]byte, 4)); n != 4 || err != nil {
			t.Errorf("read: %d, %v", n, err)
		}
	})
}
