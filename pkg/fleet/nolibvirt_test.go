//go:build !libvirt_dlopen

package fleet

import (
	"strings"
	"testing"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/settings"
)

func TestBuiltWithoutLibvirt(t *testing.T) {
	_, err := Open(t.Context(), settings.Default(), t.TempDir(), clock.Clock{})
	if err == nil || !strings.Contains(err.Error(), "build with -tags libvirt_dlopen") {
		t.Error(err)
	}
}
