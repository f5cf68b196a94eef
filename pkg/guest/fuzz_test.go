package guest

import (
	"encoding/json"
	"testing"

	"pss-msbs/pkg/cluster"
)

// FuzzAgentAnswer: whatever a guest agent answers, it is an error or JSON of
// the kind that was asked for.
func FuzzAgentAnswer(f *testing.F) {
	for _, s := range []string{`{"return":{"pid":17}}`, `{"return":{"exited":true,"exitcode":0,"out-data":"TW9ubw=="}}`,
		`{"return":{"exited":true,"signal":9,"err-data":"!"}}`, `{"error":{"class":"GenericError","desc":"no"}}`, `{"error":null,"return":null}`,
		`{"return":[]}`, `{"return":{"pid":-1e400}}`, `{}`, `null`, ``} {
		f.Add([]byte(s))
	}
	g := cluster.Guest{Host: "M1"}
	f.Fuzz(func(t *testing.T, answer []byte) {
		var s execStatus
		if err := decodeReturn(answer, &s); err == nil {
			if !json.Valid(answer) {
				t.Errorf("%q is no JSON and no error", answer)
			}
			if s.Exited && s.ExitCode == 0 && s.Signal == 0 && commandError(g, []string{"true"}, s.ExitCode, s.Signal, s.Err) != nil {
				t.Errorf("%q: a command that ended well is an error", answer)
			}
		}
		var started struct {
			PID int `json:"pid"`
		}
		_ = decodeReturn(answer, &started)
	})
}
