// Command detector tries the detector of this system, and the rules of others,
// in virtual time.
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
	flag.Float64Var(&o.years, "years", 1, "years without a fault, each row")
	flag.IntVar(&o.faults, "faults", 2000, "faults of each kind, each row")
	flag.Uint64Var(&o.seed, "seed", 1, "of all luck")
	flag.Parse()
	only, err := regexp.Compile(*pattern)
	if err != nil {
		fmt.Fprintln(os.Stderr, "detector: cannot read -rows:", err)
		os.Exit(2)
	}
	begin := time.Now()
	for _, r := range rows() {
		if only.MatchString(r.name) {
			for _, l := range try(r, o) {
				fmt.Println(l)
			}
		}
	}
	fmt.Printf("took %v\n", time.Since(begin).Round(time.Second/10))
}
