//go:build !libvirt_dlopen

package fleet

import (
	"context"
	"errors"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/settings"
)

func openLibvirt(context.Context, settings.Settings, clock.Clock) (Driver, error) {
	return nil, errors.New("cannot open the fleet: built without libvirt: build with -tags libvirt_dlopen")
}
