#!/bin/busybox sh
# sar -u -n DEV 1 1, as sysstat prints it, of one second.
look() {
	head -n 1 /proc/stat
	sed 's/:/ /' /proc/net/dev
}
look >/run/sar.1
sleep 1
look >/run/sar.2
awk '
FNR == 1 { idle = $5 + $6; for (i = 2; i <= 9; i++) all += $i; if (NR == 1) { idle1 = idle; all1 = all }; all2 = all; all = 0; idle2 = idle }
NF >= 17 && FNR > 1 { if (!($1 in rx)) { rx[$1] = $2; tx[$1] = $10 } rx2[$1] = $2; tx2[$1] = $10 }
END {
	busy = all2 > all1 ? 100 - 100 * (idle2 - idle1) / (all2 - all1) : 0
	printf "Average:        CPU     %%user     %%nice   %%system   %%iowait    %%steal     %%idle\n"
	printf "Average:        all %9.2f      0.00      0.00      0.00      0.00 %9.2f\n\n", busy, 100 - busy
	printf "Average:        IFACE   rxpck/s   txpck/s    rxkB/s    txkB/s   rxcmp/s   txcmp/s  rxmcst/s   %%ifutil\n"
	for (i in rx) printf "Average: %12s      0.00      0.00 %9.2f %9.2f      0.00      0.00      0.00      0.00\n", i, (rx2[i] - rx[i]) / 1024, (tx2[i] - tx[i]) / 1024
}' /run/sar.1 /run/sar.2
