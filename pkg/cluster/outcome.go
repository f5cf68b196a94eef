package cluster

import (
	"errors"
	"time"
)

// CallLimit is how long a quick call to a hypervisor, into a guest or to a sif may take.
const CallLimit = 3 * time.Second

// AddressLimit is how long a guest lets a command go on that changes its addresses.
const AddressLimit = 2 * time.Second

// ErrUnknown is the outcome of a command that was under way when its deadline
// passed or the connection was lost: it may be done, and it may still come true.
// A command that failed otherwise was not done. See Unknown.
var ErrUnknown = errors.New("the outcome is not known")

// Unknown is err as the error of a command whose outcome is not known; it says the
// same and is ErrUnknown, too. nil stays nil.
func Unknown(err error) error {
	if err == nil || errors.Is(err, ErrUnknown) {
		return err
	}
	return unknownOutcome{err}
}

type unknownOutcome struct{ error }

// Unwrap lets errors.Is find what err is.
func (u unknownOutcome) Unwrap() error { return u.error }

// Is implements the other half of errors.Is.
func (u unknownOutcome) Is(target error) bool { return target == ErrUnknown }
