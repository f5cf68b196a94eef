// Command detector tries the detector of this system, and the rules of others,
// in virtual time: a server-year for each condition of the world, and thousands
// of faults. It prints a table and exits 1 if a target of issue 12 is missed.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

func main() {
	var o options
	pattern := flag.String("rows", "", "regexp: only the rows with such a name")
	flag.Float64Var(&o.years, "years", 1, "server-years without a fault, each row and rule")
	flag.IntVar(&o.faults, "faults", 2000, "faults of each kind, each row and rule")
	flag.Uint64Var(&o.seed, "seed", 1, "of all luck")
	flag.Parse()
	only, err := regexp.Compile(*pattern)
	if err != nil {
		fmt.Fprintln(os.Stderr, "detector: cannot read -rows:", err)
		os.Exit(2)
	}
	if missed := play(only, *pattern, o); len(missed) > 0 {
		for _, m := range missed {
			fmt.Println("MISSED", m)
		}
		os.Exit(1)
	}
}

// play prints the table of the rows that only matches, and returns the targets that are missed.
func play(only *regexp.Regexp, pattern string, o options) (missed []string) {
	begin := time.Now()
	printHead(os.Stdout, fmt.Sprintf("detector -years %g -faults %d -seed %d -rows '%s'", o.years, o.faults, o.seed, pattern), o)
	var played []row
	for _, r := range rows() {
		if !only.MatchString(r.name) {
			continue
		}
		played = append(played, r)
		for _, l := range try(r, o) {
			fmt.Println(l)
			missed = append(missed, l.missed()...)
		}
	}
	printFoot(os.Stdout, played)
	fmt.Printf("took %v\n", time.Since(begin).Round(time.Second))
	return missed
}
