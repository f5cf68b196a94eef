package plan

import (
	"encoding/json"
	"strings"
	"testing"
)

const (
	home3a = "101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:W2@203 106:F2@203"
	all3h  = "101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:Ws@202 106:Fs@201"
	all4h  = "101:M1@201 102:W1@201 103:Fs@201 104:M1@201 105:W1@201 106:Fs@201"
)

// TestFigures is the table of SPEC 4: the sub-figures of Fig. 3 and Fig. 4 and
// the ways back.
func TestFigures(t *testing.T) {
	a3, a4 := paper(), shifted(paper(), "all=PS1")
	h4 := shifted(a4, "all=PS2")
	runCases(t, []shiftCase{
		{"Fig. 3(a) nothing wanted", a3, "", "", home3a, ""},
		{"Fig. 3(b) Mail PS1", a3, "Mail=PS1", "Mail=Light(PS1)", home3a, ""},
		{"Fig. 3(c) Web PS1", a3, "Web=PS1", "start Ws@202; 105 W2>Ws; Web=Light(PS1)",
			"101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:Ws@202 106:F2@203", "105:W2@203"},
		{"Fig. 3(d) FTP PS1", a3, "FTP=PS1", "start Fs@201; 106 F2>Fs; FTP=Light(PS1)",
			"101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:W2@203 106:Fs@201", "106:F2@203"},
		{"Fig. 3(e) Mail and Web PS1", a3, "Mail=PS1 Web=PS1", "start Ws@202; 105 W2>Ws; Mail=Light(PS1); Web=Light(PS1)",
			"101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:Ws@202 106:F2@203", "105:W2@203"},
		{"Fig. 3(f) Mail and FTP PS1", a3, "Mail=PS1 FTP=PS1", "start Fs@201; 106 F2>Fs; Mail=Light(PS1); FTP=Light(PS1)",
			"101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:W2@203 106:Fs@201", "106:F2@203"},
		{"Fig. 3(g) Web and FTP PS1", a3, "FTP=PS1 Web=PS1",
			"start Fs@201; start Ws@202; 105 W2>Ws; 106 F2>Fs; Web=Light(PS1); FTP=Light(PS1); suspend 203",
			all3h, "105:W2@203 106:F2@203"},
		{"Fig. 3(h) all PS1", a3, "all=PS1",
			"start Fs@201; start Ws@202; 105 W2>Ws; 106 F2>Fs; Mail=Light(PS1); Web=Light(PS1); FTP=Light(PS1); suspend 203",
			all3h, "105:W2@203 106:F2@203"},

		{"Fig. 4(a) nothing wanted", a4, "", "", all3h, "105:W2@203 106:F2@203"},
		{"Fig. 4(b) Mail PS2", a4, "Mail=PS2", "104 M2>M1; Mail=Light(PS2)",
			"101:M1@201 102:W1@201 103:F1@202 104:M1@201 105:Ws@202 106:Fs@201", "104:M2@202 105:W2@203 106:F2@203"},
		{"Fig. 4(c) Web PS2", a4, "Web=PS2", "105 Ws>W1; Web=Light(PS2)",
			"101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:W1@201 106:Fs@201", "105:W2@203 105:Ws@202 106:F2@203"},
		{"Fig. 4(d) FTP PS2", a4, "FTP=PS2", "103 F1>Fs; FTP=Light(PS2)",
			"101:M1@201 102:W1@201 103:Fs@201 104:M2@202 105:Ws@202 106:Fs@201", "103:F1@202 105:W2@203 106:F2@203"},
		{"Fig. 4(e) Mail and Web PS2", a4, "Mail=PS2 Web=PS2", "104 M2>M1; 105 Ws>W1; Mail=Light(PS2); Web=Light(PS2)",
			"101:M1@201 102:W1@201 103:F1@202 104:M1@201 105:W1@201 106:Fs@201", "104:M2@202 105:W2@203 105:Ws@202 106:F2@203"},
		{"Fig. 4(f) Mail and FTP PS2", a4, "Mail=PS2 FTP=PS2", "103 F1>Fs; 104 M2>M1; Mail=Light(PS2); FTP=Light(PS2)",
			"101:M1@201 102:W1@201 103:Fs@201 104:M1@201 105:Ws@202 106:Fs@201", "103:F1@202 104:M2@202 105:W2@203 106:F2@203"},
		{"Fig. 4(g) Web and FTP PS2", a4, "Web=PS2 FTP=PS2", "103 F1>Fs; 105 Ws>W1; Web=Light(PS2); FTP=Light(PS2)",
			"101:M1@201 102:W1@201 103:Fs@201 104:M2@202 105:W1@201 106:Fs@201", "103:F1@202 105:W2@203 105:Ws@202 106:F2@203"},
		{"Fig. 4(h) all PS2", a4, "all=PS2",
			"103 F1>Fs; 104 M2>M1; 105 Ws>W1; Mail=Light(PS2); Web=Light(PS2); FTP=Light(PS2); stop Ws; suspend 202",
			all4h, "103:F1@202 104:M2@202 105:W2@203 105:Ws@202 106:F2@203"},

		{"back: all PS2 to PS1", h4, "all=PS1",
			"wake 202; start Ws@202; 103 Fs>F1; 104 M1>M2; 105 W1>Ws; Mail=Light(PS1); Web=Light(PS1); FTP=Light(PS1)",
			all3h, "105:W2@203 106:F2@203"},
		{"back: all PS1 to Moderate", a4, "all=Moderate",
			"wake 203; 105 Ws>W2; 106 Fs>F2; Mail=Moderate; Web=Moderate; FTP=Moderate; stop Fs; stop Ws", home3a, ""},
		{"back: all PS2 to Moderate", h4, "all=Moderate",
			"wake 202; wake 203; 103 Fs>F1; 104 M1>M2; 105 W1>W2; 106 Fs>F2; Mail=Moderate; Web=Moderate; FTP=Moderate; stop Fs; stop Ws", home3a, ""},
		{"back: Mail PS2 to Moderate", shifted(a4, "Mail=PS2"), "Mail=Moderate", "104 M1>M2; Mail=Moderate", all3h, "105:W2@203 106:F2@203"},
		{"back: Web PS1 to Moderate", shifted(a3, "Web=PS1"), "Web=Moderate", "105 Ws>W2; Web=Moderate; stop Ws", home3a, ""},
		{"back: FTP PS2 to PS1", shifted(a4, "FTP=PS2"), "FTP=PS1", "103 Fs>F1; FTP=Light(PS1)", all3h, "105:W2@203 106:F2@203"},
		{"straight: all Moderate to PS2", a3, "all=PS2",
			"start Fs@201; 103 F1>Fs; 104 M2>M1; 105 W2>W1; 106 F2>Fs; Mail=Light(PS2); Web=Light(PS2); FTP=Light(PS2); suspend 202; suspend 203",
			all4h, "103:F1@202 104:M2@202 105:W2@203 106:F2@203"},
	})
}

// TestPlanJSON pins the field order and the spelling of SPEC 4.
func TestPlanJSON(t *testing.T) {
	a3 := paper()
	a4 := shifted(a3, "all=PS1")
	for _, c := range []struct {
		name string
		plan Steps
		json string
	}{
		{"empty", Make(a3, nil, nil), `[]`},
		{"lighter", Make(a3, nil, want(a3, "Web=PS1 FTP=PS1")), `[
			{"do":"start-spare","spare":"Fs","real":"172.21.14.201","group":"FTP"},
			{"do":"start-spare","spare":"Ws","real":"172.21.14.202","group":"Web"},
			{"do":"move-vip","vip":"172.21.14.105","from":"W2","to":"Ws"},
			{"do":"move-vip","vip":"172.21.14.106","from":"F2","to":"Fs"},
			{"do":"set-state","group":"Web","condition":"Light(PS1)"},
			{"do":"set-state","group":"FTP","condition":"Light(PS1)"},
			{"do":"suspend-real","real":"172.21.14.203"}]`},
		{"back", Make(a4, nil, want(a4, "Web=Moderate")), `[
			{"do":"wake-real","real":"172.21.14.203"},
			{"do":"move-vip","vip":"172.21.14.105","from":"Ws","to":"W2"},
			{"do":"set-state","group":"Web","condition":"Moderate"},
			{"do":"stop-spare","spare":"Ws"}]`},
		{"refused", Make(alone(), nil, want(alone(), "One=PS2")), `[{"do":"refuse","group":"One","why":"no server on base"}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(c.plan)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.NewReplacer("\n", "", "\t", "").Replace(c.json); string(got) != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

// TestPlanText is what an operator reads.
func TestPlanText(t *testing.T) {
	var b strings.Builder
	a4 := shifted(paper(), "all=PS1")
	p := append(Make(a4, nil, want(a4, "Web=Moderate")), Make(alone(), nil, want(alone(), "One=PS2"))...)
	p = append(p, Make(paper(), nil, want(paper(), "FTP=PS1"))[0], Make(a4, nil, want(a4, "all=PS2"))[7])
	if err := p.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `wake real server 172.21.14.203
Web: move VIP 172.21.14.105 from Ws to W2
Web: set condition Moderate
Web: stop spare Ws
One: refused, no server on base
FTP: start spare Fs on 172.21.14.201
suspend real server 172.21.14.202
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	if err := (Steps{}).WriteText(&b); err != nil || b.String() != "nothing to do\n" {
		t.Errorf("empty plan: %q, %v", b.String(), err)
	}
}
