package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"voucherwatch/internal/app"
)

// progress is a line that is written over on a terminal, and a plain line now and then otherwise; a
// program that is done within a second says nothing there. done wipes the terminal's line.
func progress(w io.Writer, now func() time.Time) (report func(app.Progress), done func()) {
	file, ok := w.(*os.File)
	return bar(w, ok && term.IsTerminal(int(file.Fd())), now)
}

func bar(w io.Writer, terminal bool, now func() time.Time) (report func(app.Progress), done func()) {
	last, day, shown := now(), "", false
	if terminal {
		return func(p app.Progress) {
				if t := now(); t.Sub(last) >= 100*time.Millisecond && started(p) {
					last, shown = t, true
					fmt.Fprintf(w, "\r\x1b[K%s  %9d events  %8d redemptions  %4d findings  %3d cases", p.Clock.Format("01-02 15:04"), p.Events, p.Redemptions, p.Findings, p.Cases)
				}
			}, func() {
				if shown {
					fmt.Fprint(w, "\r\x1b[K")
				}
			}
	}
	return func(p app.Progress) {
		if t, d := now(), p.Clock.Format(time.DateOnly); d != day && t.Sub(last) >= time.Second && started(p) {
			day, last = d, t
			fmt.Fprintf(w, "%s  %d events, %d redemptions, %d findings, %d cases\n", d, p.Events, p.Redemptions, p.Findings, p.Cases)
		}
	}, func() {}
}

// started tells whether event time has begun: a registry comes before it.
func started(p app.Progress) bool { return p.Clock.Unix() > 0 }
