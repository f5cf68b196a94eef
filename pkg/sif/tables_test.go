package sif

import (
	"pss-msbs/pkg/cluster/clustertest"
	"pss-msbs/pkg/ipc"
)

var (
	ip, tables, text, clean = clustertest.IP, clustertest.Tables, clustertest.Text, clustertest.Clean

	mb   = ipc.Server{Host: "Mb", IP: ip("61"), Group: "Mail"}
	mgmt = ip("200")
)
