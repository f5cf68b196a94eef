package main

import (
	"errors"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/pss/pssrun"
)

// homes are the homes that the management data name; a directory without them
// will do.
func homes(d daemon.Dirs) cluster.HomeNames {
	known, err := pssrun.Data(d.Conf)
	if err != nil {
		return nil
	}
	return known.Homes()
}

// backups are the backups of servers as far as the .dat files tell, by host.
func backups(d daemon.Dirs) map[string]string {
	known, _ := pssrun.Data(d.Conf)
	out := map[string]string{}
	for _, s := range known.Servers {
		out[s.Host] = s.Backup
	}
	return out
}

// invalid has faults of files printed as they are, with exit code 2.
func invalid(err error) error {
	var faults *conffile.Faults
	if errors.As(err, &faults) {
		return daemon.Invalid(err)
	}
	return err
}
