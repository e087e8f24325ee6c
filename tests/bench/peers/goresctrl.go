// Copyright (c) 2026 the kvmops.resctrl authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What the reader of Intel's goresctrl costs. goresctrl ROUNDS: prints the microseconds of CPU time for each value, a
// line for each round. It looks for resctrl in /proc/mounts.
package main

import (
	"fmt"
	"io/ioutil"
	stdlog "log"
	"os"
	"strconv"
	"syscall"

	grclog "github.com/intel/goresctrl/pkg/log"
	"github.com/intel/goresctrl/pkg/rdt"
)

func cpuTime() float64 {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return float64(used.Utime.Sec+used.Stime.Sec)*1e6 + float64(used.Utime.Usec+used.Stime.Usec)
}

func main() {
	rounds, _ := strconv.Atoi(os.Args[1])
	rdt.SetLogger(grclog.NewLoggerWrapper(stdlog.New(ioutil.Discard, "", 0)))
	if err := rdt.Initialize(""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for ; rounds > 0; rounds-- {
		began, values := cpuTime(), 0
		for _, class := range rdt.GetClasses() {
			for _, group := range class.GetMonGroups() {
				for _, leaf := range group.GetMonData().L3 {
					values += len(leaf)
				}
			}
		}
		if values == 0 {
			os.Exit(1)
		}
		fmt.Printf("%.4f\n", (cpuTime()-began)/float64(values))
	}
}
