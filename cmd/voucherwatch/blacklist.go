package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"voucherwatch/credit"
	"voucherwatch/credit/push"
	"voucherwatch/credit/table"
	"voucherwatch/internal/app"

	vw "voucherwatch"
)

func blacklistCheck() command {
	return command{"blacklist check", "FILE", "look at the gates of a proposed entry and say everything that is missing", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		rules := f.String("rules", "", "rules `FILE` of the lists; none: the built-in one")
		on := f.String("on", "", "`DAY` to look on, such as 2022-10-20; none: today")
		return func(_ context.Context, args []string, s streams) error {
			name, err := one(args, "")
			if err != nil {
				return err
			}
			now := time.Now()
			if *on != "" {
				if now, err = time.Parse(time.DateOnly+"Z07:00", *on+"+08:00"); err != nil {
					return usageError{errors.New("--on must be a day such as 2022-10-20")}
				}
				now = now.Add(24*time.Hour - time.Second)
			}
			return app.CheckProposal(s.out, name, *rules, now)
		}
	}}
}

func blacklistList() command {
	return command{"blacklist list", "--store FILE --tier LIST", "list the entries of one list", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		store := f.String("store", "", "`FILE` of entries, credit.db of serve")
		tier := f.String("tier", "", "`LIST`: activity_exclusion or credit_record; they are never mixed")
		all := f.Bool("all", false, "those that have ended, too")
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			if t := credit.Tier(*tier); *store == "" || t != credit.Exclusion && t != credit.Record {
				return usageError{errors.New("--store and --tier are required; --tier is activity_exclusion or credit_record")}
			}
			return app.WriteEntries(ctx, s.out, *store, credit.Tier(*tier), *all)
		}
	}}
}

func blacklistTable() command {
	return command{"blacklist table", "--out FILE PENALTIES", "check penalties and write the 双公示 table for upload", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		out := f.String("out", "", "`FILE` to write; must not be there yet")
		format := f.String("format", "xlsx", "`FORMAT`: xlsx, csv, xml")
		return func(_ context.Context, args []string, s streams) error {
			name, err := one(args, "")
			if err != nil {
				return err
			}
			if *out == "" {
				return usageError{errors.New("--out is required")}
			}
			var rows []table.Penalty
			if err := app.ReadJSON(name, &rows); err != nil {
				return err
			}
			if err := table.Check(rows, credit.DayOf(time.Now(), time.FixedZone("", 8*3600))); err != nil {
				return err
			}
			w, err := os.OpenFile(*out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
			if err != nil {
				return &vw.Error{Op: "main.table", Code: vw.Unavailable, Hint: "name a file that is not there yet", Err: err}
			}
			sums, err := table.Write(w, *format, rows)
			if err = errors.Join(err, w.Close()); err != nil {
				return errors.Join(err, os.Remove(*out))
			}
			fmt.Fprintf(s.out, "%s  %s  SM3 %s  共 %d 行 (%d rows)\n", *out, *format, sums.File, len(rows), len(rows))
			for i, sum := range sums.Rows {
				fmt.Fprintf(s.out, "  %4d  %s  %s\n", i+1, sum, rows[i].Number)
			}
			return nil
		}
	}}
}

func blacklistRejected() command {
	return command{"blacklist rejected", "--of PENALTIES FILE", "read the rows that a platform rejected and say which penalties they are", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		of := f.String("of", "", "`PENALTIES` that were sent, JSON")
		return func(_ context.Context, args []string, s streams) error {
			name, err := one(args, "")
			if err != nil {
				return err
			}
			if *of == "" {
				return usageError{errors.New("--of is required")}
			}
			var rows []table.Penalty
			if err := app.ReadJSON(*of, &rows); err != nil {
				return err
			}
			r, err := os.Open(name)
			if err != nil {
				return &vw.Error{Op: "main.rejected", Code: vw.NotFound, Hint: "give the file as the platform exported it, xlsx or csv", Err: err}
			}
			defer func() { _ = r.Close() }()
			got, err := table.ReadRejected(r, rows)
			if err != nil {
				return err
			}
			for _, x := range got {
				which := "不在所报文件中 not one of those"
				if x.Row >= 0 {
					which = fmt.Sprintf("第 %d 条 row %d", x.Row+1, x.Row+1)
				}
				fmt.Fprintf(s.out, "%s:%d  %s  %s  %s  %s\n", name, x.Line, which, x.Number, x.Party, x.Reason)
			}
			_, err = fmt.Fprintf(s.out, "共 %d 行 (%d rows)\n", len(got), len(got))
			return err
		}
	}}
}

// platform registers the flags of commands that talk to a platform.
func platform(f *flag.FlagSet) (store, partners, name *string) {
	return f.String("store", "", "`FILE` of entries, credit.db of serve"), f.String("partners", "", "`FILE` of clients and platforms"), f.String("platform", "", "`NAME` of the platform in that file")
}

func blacklistPush() command {
	return command{"blacklist push", "--store FILE --partners FILE --platform NAME", "send to a platform what is due, and say what it has not confirmed", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		store, partners, name := platform(f)
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			return app.WithPusher(ctx, *store, *partners, *name, time.Now, func(p *push.Pusher) error {
				next, err := p.Push(ctx)
				if err != nil {
					return err
				}
				late, err := p.Late(ctx)
				if err != nil {
					return err
				}
				for _, t := range late {
					fmt.Fprintf(s.out, "超期 late  %s  应于 %s 前告知 due by\n", t.Entry, t.TellBy.Format(time.DateTime))
				}
				if next.IsZero() {
					_, err = fmt.Fprintln(s.out, "全部已确认，或已被退回。 Everything is confirmed or rejected.")
					return err
				}
				_, err = fmt.Fprintf(s.out, "尚有未确认的，%s 再试。 Something is not confirmed; try again then.\n", next.Local().Format(time.DateTime))
				return err
			})
		}
	}}
}

func blacklistReconcile() command {
	return command{"blacklist reconcile", "--store FILE --partners FILE --platform NAME", "compare what a platform should have with what it says it has", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		store, partners, name := platform(f)
		return func(ctx context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			return app.WithPusher(ctx, *store, *partners, *name, time.Now, func(p *push.Pusher) error {
				diff, err := p.Reconcile(ctx)
				if err != nil {
					return err
				}
				for _, d := range diff {
					late := ""
					if d.Late {
						late = "  超期 late"
					}
					fmt.Fprintf(s.out, "%-8s %s  本方 ours %d  对方 theirs %d  %s%s\n", d.Kind, d.Entry, d.Ours, d.Theirs, d.State, late)
				}
				if len(diff) > 0 {
					return &vw.Error{Op: "main.reconcile", Code: vw.Conflict, Hint: "push what is missing; ask the platform about what is extra or changed", Err: fmt.Errorf("%d differences", len(diff))}
				}
				_, err = fmt.Fprintln(s.out, "双方一致。 Both agree.")
				return err
			})
		}
	}}
}
