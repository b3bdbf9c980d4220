package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"voucherwatch/credit"
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
