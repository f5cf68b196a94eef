// Package dsrs is the dynamic server recovery system: the monitor of one real
// server (paper, section 2.8 and Fig. 9(b)).
//
//	          +---------------------------- suspended <---------+
//	          | B1                                              | B1, B2, B3
//	          v            no answer         3 times no answer  |
//	+----> normal -------------------> trouble (B2) ------------+
//	|         | in neither real file      |   ^ |
//	|         |                           |   | | no reference answers
//	|         |                 confirmed v   | v
//	|         |                          (B3) cut off
//	|         v                           |
//	|      waiting <----------------------+-------> hypervisor down
//	|         | restart_wait      only its daemon    |        |
//	|         v                                      |        |
//	|       waking (magic packets) --> given up <----|--------+ restore_deadline
//	|         | first answer              |          |
//	|         v                           |          |
//	|      stripping <--------------------+----------+
//	|         | no stale VIP is left
//	|         v
//	+---- restoring: servers of line 4, VIPs back, B4, their dbss
//
// While the real server is normal, the servers of line 4 that are separated
// and that nobody owns are restored too, and monitors that nobody runs are
// started. The package opens none of the seven files: its sif does (SPEC 7).
package dsrs
