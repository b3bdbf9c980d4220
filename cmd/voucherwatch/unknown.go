package main

import (
	"fmt"
	"io"
	"strings"
)

// unknown says that there is no such command, and which ones may be meant.
func unknown(w io.Writer, args []string) {
	given := strings.Join(args[:min(2, len(args))], " ")
	var meant []string
	for _, c := range commands() {
		if strings.HasPrefix(c.name, args[0]+" ") {
			meant = append(meant, c.name)
		}
	}
	if len(meant) > 0 {
		fmt.Fprintf(w, "voucherwatch: there is no command %q; there is %s\n", given, strings.Join(meant, ", "))
		return
	}
	for _, c := range commands() {
		words := strings.Count(c.name, " ") + 1
		if d := distance(strings.Join(args[:min(words, len(args))], " "), c.name); d <= 2 && d < len(c.name)/2 {
			meant = append(meant, c.name)
		}
	}
	if len(meant) > 0 {
		fmt.Fprintf(w, "voucherwatch: there is no command %q; did you mean %s?\n", given, strings.Join(meant, " or "))
		return
	}
	fmt.Fprintf(w, "voucherwatch: there is no command %q; voucherwatch help lists them\n", given)
}

// distance is how many bytes must be put in, left out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
