module pss-msbs

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0 // cmd/*: command lines, help and environment variables from one struct
	github.com/fsnotify/fsnotify v1.10.1 // conffile: edits of the seven files are seen at once
	github.com/gofrs/flock v0.13.1 // lockedfile: the one lock over the seven files
	github.com/google/go-cmp v0.7.0 // tests: readable differences
	github.com/google/gopacket v1.1.19 // access: SYNs in packets and pcap streams; probe: ARP and ND; lab: ARP on the switch
	github.com/mdlayher/wol v0.0.0-20220221231636-b763a792253a // wake: magic packets
	github.com/pelletier/go-toml/v2 v2.4.3 // settings: strict TOML that names the line
	github.com/prometheus-community/pro-bing v0.9.1 // probe: ping with and without raw sockets
	github.com/rs/zerolog v1.35.1 // daemon and the programs: the system log
	golang.org/x/net v0.59.0 // probe: BPF filters and ICMPv6
	golang.org/x/sync v0.24.0 // pss: groups of goroutines with one owner
	golang.org/x/sys v0.49.0 // daemon, ipc: inheritable locks, peer credentials, pidfd; probe: packet sockets
	libvirt.org/go/libvirt v1.11010.0 // virt: the hypervisors (the import path of libvirt-go-module)
	pgregory.net/rapid v1.3.0 // tests: properties over random fleets
)

require (
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c // indirect
	github.com/bitfield/gotestdox v0.2.2 // indirect
	github.com/dnephin/pflag v1.0.7 // indirect
	github.com/fatih/color v1.18.0 // indirect
	github.com/google/shlex v0.0.0-20191202100458-e7afc7fbc510 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/josharian/native v1.0.0 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/mdlayher/ethernet v0.0.0-20190313224307-5b5fc417d966 // indirect
	github.com/mdlayher/packet v1.0.0 // indirect
	github.com/mdlayher/socket v0.2.1 // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/term v0.46.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	gotest.tools/gotestsum v1.13.0 // indirect
	honnef.co/go/tools v0.8.2 // indirect
)

tool (
	gotest.tools/gotestsum
	honnef.co/go/tools/cmd/staticcheck
)
