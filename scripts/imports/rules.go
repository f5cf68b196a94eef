package main

// rule is a package (and what lies below it) and the packages of the module
// that it may import.
type rule struct {
	pkg string
	may []string
}

// nouns are what everybody may import.
var nouns = []string{"pkg/cluster", "pkg/clock", "pkg/diag", "pkg/mgmtdata", "pkg/logonce"}

func with(more ...string) []string { return append(append([]string{}, nouns...), more...) }

// rules is the layout of pkg/, lowest layer first.
var rules = []rule{
	{"pkg/cluster", nil},
	{"pkg/clock", nil},
	{"pkg/diag", nil},
	{"pkg/task", nil},    // work beside its owner
	{"pkg/logonce", nil}, // what a program said last
	{"pkg/notes", nil},   // small files by which programs leave word
	{"pkg/load", []string{"pkg/cluster"}},
	{"pkg/edits", []string{"pkg/cluster"}}, // every edit of the seven files, pure
	{"pkg/plan", []string{"pkg/cluster", "pkg/edits"}},
	{"pkg/lockedfile", []string{"pkg/clock"}},
	{"pkg/conffile", []string{"pkg/cluster", "pkg/clock", "pkg/diag", "pkg/lockedfile"}},
	{"pkg/mgmtdata", []string{"pkg/cluster", "pkg/diag"}},
	{"pkg/settings", []string{"pkg/cluster", "pkg/diag"}},
	{"pkg/ipc", with("pkg/notes")},
	{"pkg/pending", nouns},            // who may still get a VIP
	{"pkg/handover", with("pkg/ipc")}, // how VIPs change their server; the model walks its machine
	{"pkg/command", nil},              // command templates of the settings
	{"pkg/model", with("pkg/edits", "pkg/sif/verbs", "pkg/plan", "pkg/ipc", "pkg/handover", "pkg/conffile")}, // every interleaving of the managers, by the same functions
	{"pkg/virt", nouns},
	{"pkg/guest", with("pkg/command")},
	{"pkg/probe", nouns},
	{"pkg/wake", nouns},
	{"pkg/access", with("pkg/command")},
	{"pkg/sim/packet", nil},
	{"pkg/sim/spec", with("pkg/sim/packet")},
	{"pkg/sim/course", []string{"pkg/clock"}},
	{"pkg/sim/measure", with("pkg/sim/spec")},
	{"pkg/sim/world", with("pkg/sim/packet", "pkg/sim/spec", "pkg/sim/course", "pkg/sim/measure")},
	{"pkg/sim/judge", with("pkg/sim/packet", "pkg/sim/spec", "pkg/sim/world")},
	{"pkg/sim/balancer", with("pkg/sim/spec", "pkg/sim/world")},
	{"pkg/sim/life", with("pkg/sim/spec", "pkg/sim/world")},
	{"pkg/sim", with("pkg/settings")}, // the emulated fleet is built from the same files as the real one
	{"pkg/sim/remote", with("pkg/sim")},
	{"pkg/sim/simcmd", with("pkg/sim", "pkg/settings", "pkg/conffile", "pkg/daemon")},                      // the commands of pss fleet
	{"pkg/daemon", with("pkg/ipc")},                                                                        // companions and monitors are started ready to talk
	{"pkg/doubt", with("pkg/notes")},                                                                       // what monitors tell each other of their targets
	{"pkg/detector", []string{"pkg/cluster"}},                                                              // a step machine without clock or network
	{"pkg/watch", with("pkg/detector", "pkg/settings")},                                                    // its questions to real servers
	{"pkg/startup", with("pkg/daemon", "pkg/settings", "pkg/doubt", "pkg/budget", "pkg/ipc", "pkg/notes")}, // how every program begins, and what they share
	{"pkg/ahead", with("pkg/load", "pkg/plan", "pkg/settings")},                                            // loads as they would be, for pss and replay alike
	{"pkg/replay", with("pkg/load", "pkg/plan", "pkg/settings", "pkg/ahead")},
	{"pkg/weeks", with("pkg/load", "pkg/settings", "pkg/replay")}, // generated traces
	{"pkg/check", with("pkg/conffile", "pkg/settings")},
	{"pkg/handedit", with("pkg/conffile", "pkg/check")},
	{"pkg/fleet", with("pkg/settings", "pkg/sim", "pkg/virt", "pkg/guest", "pkg/probe", "pkg/wake", "pkg/access", "pkg/command")},
	{"pkg/fleet/fleettest", with("pkg/fleet", "pkg/sim")},                      // what every driver must do; its own test is on the emulated one
	{"pkg/monitor", with("pkg/startup", "pkg/daemon", "pkg/fleet", "pkg/ipc")}, // what a running dbss and dsrs have alike
	{"pkg/pss", with("pkg/load", "pkg/edits", "pkg/plan", "pkg/ahead", "pkg/conffile", "pkg/ipc", "pkg/pending", "pkg/handover", "pkg/task", "pkg/settings", "pkg/doubt", "pkg/notes", "pkg/watch")},
	{"pkg/dbss", with("pkg/settings", "pkg/ipc", "pkg/pending", "pkg/handover", "pkg/task", "pkg/doubt", "pkg/detector", "pkg/watch")},
	{"pkg/dsrs", with("pkg/settings", "pkg/ipc", "pkg/pending", "pkg/handover", "pkg/task", "pkg/doubt", "pkg/detector", "pkg/watch")},
	{"pkg/sif", with("pkg/conffile", "pkg/ipc", "pkg/edits")},
	{"pkg/sif/verbs", with("pkg/ipc", "pkg/edits")}, // pure: the model sends its requests through them too
	// A program as it runs: for its executable, and for whole systems in one process.
	{"pkg/pss/pssrun", with("pkg/pss", "pkg/startup", "pkg/daemon", "pkg/fleet", "pkg/conffile", "pkg/settings", "pkg/guest", "pkg/ipc")},
	{"pkg/dbss/dbssrun", with("pkg/dbss", "pkg/monitor", "pkg/startup", "pkg/daemon", "pkg/fleet", "pkg/ipc")},
	{"pkg/dsrs/dsrsrun", with("pkg/dsrs", "pkg/monitor", "pkg/startup", "pkg/daemon", "pkg/fleet", "pkg/ipc")},
	{"pkg/sif/sifrun", with("pkg/sif", "pkg/startup", "pkg/daemon", "pkg/conffile")},
	{"pkg/budget", []string{"pkg/clock", "pkg/notes"}},
	{"pkg/lab", with("pkg/conffile")}, // the VM lab: load goes where the files say clients are; its tests wire more
	{"pkg/harness", with("pkg/conffile", "pkg/daemon", "pkg/sim")},
	{"pkg/scenario", with("pkg")}, // the whole system in one process
}

// programs are the packages that belong to one executable each.
var programs = []string{"pss", "dbss", "dsrs", "sif"}

// owners names the one package that imports each library; a library that is
// not here (the standard library, zerolog, kong ...) may be imported by all.
var owners = map[string][]string{
	"libvirt.org/go/libvirt":                   {"pkg/virt"},
	"github.com/google/gopacket":               {"pkg/access", "pkg/probe", "pkg/lab"}, // probe asks by ARP, and the lab's watcher
	"github.com/mdlayher/wol":                  {"pkg/wake"},
	"github.com/gofrs/flock":                   {"pkg/lockedfile"},
	"github.com/fsnotify/fsnotify":             {"pkg/conffile"},
	"github.com/pelletier/go-toml":             {"pkg/settings", "scripts/mutate"}, // mutate: the list of defects
	"github.com/prometheus-community/pro-bing": {"pkg/probe"},
}
