// Package dbss is the monitor of one virtual server (paper, section 3.2; SPEC 5).
// It knows its target and the target's backup and nothing else; whatever the
// PSS files say it hears from its companion sif at the arrows A1 to A5.
//
//	           starting
//	              | A1
//	   +----------+-----------+---------------------+
//	   v                      v                     | in separation
//	waiting <----A1------> normal <------------+    |
//	(access stop)             | trouble        |    |
//	   ^                      v                |    |
//	   +------A2-------- re-examining ---------+    |
//	                          |        \            |
//	                          |    restarting       |
//	                          |     service --------+ answers: normal
//	                 A3 <-----+-------/             |
//	                          v                     |
//	                     taking over <--------------+
//	              fence, backup, VIPs | A4          |
//	                                  v             |
//	   background job <-------> recovering <--------+
//	   (start, reset)     back /         \ not back
//	                          v           v
//	                   giving back     moving backup
//	                    | A5              | A5 moving, moved
//	                    v                 v
//	                  normal         handing over -> ended
//
// Everything is derived from the files and from the servers at the start, so
// a monitor that was killed anywhere is continued by its successor.
package dbss
