package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"voucherwatch/campaign"
	"voucherwatch/cases"
	"voucherwatch/internal/app"

	vw "voucherwatch"
)

// where registers the flags that say which cases, and who asks.
type where struct{ cases, evidence, as string }

func (w *where) flags(f *flag.FlagSet) {
	f.StringVar(&w.cases, "cases", "", "`FILE` of the cases, or the URL of Elasticsearch")
	f.StringVar(&w.evidence, "evidence", "", "`DIRECTORY` of the evidence; none: FILE-evidence, or VOUCHERWATCH_EVIDENCE")
	f.StringVar(&w.as, "as", "", "`NAME` of the account; the password is taken from VOUCHERWATCH_PASSWORD, the code of the second factor from VOUCHERWATCH_CODE")
}

func (w *where) open(ctx context.Context) (*app.Desk, error) {
	if w.cases == "" {
		return nil, usageError{errors.New("--cases is required")}
	}
	if !app.IsURL(w.cases) {
		if err := app.MustExist(w.cases); err != nil {
			return nil, err
		}
	}
	return app.OpenDesk(ctx, w.cases, w.evidence, time.Now)
}

// person signs somebody in.
func (w *where) person(ctx context.Context, d *app.Desk) (cases.Actor, error) {
	if w.as == "" {
		return cases.Actor{}, usageError{errors.New("--as is required: everything that is done to a case has somebody's name")}
	}
	return d.People.SignIn(ctx, w.as, os.Getenv("VOUCHERWATCH_PASSWORD"), os.Getenv("VOUCHERWATCH_CODE"))
}

func caseDo() command {
	return command{"case do", "--cases FILE --as NAME CASE VERB", "do something with a case: take, note, submit, confirm, approve … (case verbs lists them)", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		var cmd cases.Command
		var refs, raw string
		w.flags(f)
		f.StringVar(&cmd.Target, "target", "", "`ID` of the approval, measure, entry, appeal, task or note that it is about")
		f.StringVar(&cmd.Reason, "reason", "", "`SENTENCE`")
		f.StringVar(&cmd.Text, "text", "", "`TEXT`")
		f.StringVar(&cmd.Code, "choice", "", "`WORD` of a closed list: an outcome, a result, a reason to suspend")
		f.StringVar(&cmd.To, "to", "", "`NAME` of a person or id of a case")
		f.StringVar(&cmd.Typology, "typology", "", "`CODE`, such as T01")
		f.StringVar(&cmd.Hash, "hash", "", "`SHA-256` of the papers that are approved, as case show prints it")
		f.StringVar(&refs, "refs", "", "`IDS` of evidence, separated by commas")
		f.BoolVar(&cmd.Flag, "yes", false, "with declare: there is a conflict; with add_task: it is required; with refute: the data were wrong")
		f.IntVar(&cmd.Seen, "seen", 0, "`VERSION` of the case that you looked at")
		f.StringVar(&raw, "json", "", "`FILE` with the whole command as JSON, - for standard input, for what has no flag")
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) != 2 {
				return usageError{errors.New("name one case and one verb; case verbs lists the verbs")}
			}
			if raw != "" {
				in := s.in
				if raw != "-" {
					file, err := os.Open(raw)
					if err != nil {
						return &vw.Error{Op: "case do", Code: vw.Invalid, Hint: "name a file with one command as JSON", Err: err}
					}
					defer file.Close()
					in = file
				}
				if err := json.UnmarshalRead(io.LimitReader(in, 1<<20), &cmd, json.RejectUnknownMembers(true)); err != nil {
					return &vw.Error{Op: "case do", Code: vw.Invalid, Hint: "docs/cases.md lists the fields of a command", Err: err}
				}
			}
			cmd.Verb = args[1]
			cmd.Refs = append(cmd.Refs, strings.FieldsFunc(refs, func(r rune) bool { return r == ',' })...)
			d, err := w.open(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = d.Close() }()
			who, err := w.person(ctx, d)
			if err != nil {
				return err
			}
			doc, err := d.Do(ctx, args[0], cmd, who)
			if err != nil {
				return err
			}
			last := doc.Case.Timeline[len(doc.Case.Timeline)-1]
			_, err = fmt.Fprintf(s.out, "%s %s: %s %s\n", doc.Case.CaseID, cases.StateName(cases.RowOf(&doc).State).Zh, last.Text.Zh, last.Text.En)
			return err
		}
	}}
}

func caseAttach() command {
	return command{"case attach", "--cases FILE --as NAME CASE FILE", "put a file into a case as evidence, or its findings as they are now", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		var title, media string
		w.flags(f)
		f.StringVar(&title, "title", "", "`TITLE` of the evidence")
		f.StringVar(&media, "type", "application/pdf", "media `TYPE` of the file")
		freeze := f.Bool("freeze", false, "instead of a file: the findings, with their features, policy and baselines")
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) != 2 && !(*freeze && len(args) == 1) {
				return usageError{errors.New("name one case and one file")}
			}
			d, err := w.open(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = d.Close() }()
			who, err := w.person(ctx, d)
			if err != nil {
				return err
			}
			var doc cases.Document
			if *freeze {
				doc, err = d.Freeze(ctx, args[0], nil, who)
			} else {
				var b []byte
				if b, err = os.ReadFile(args[1]); err != nil {
					return &vw.Error{Op: "case attach", Code: vw.Invalid, Hint: "name a file that can be read", Err: err}
				}
				doc, err = d.Attach(ctx, args[0], title, media, b, who)
			}
			if err != nil {
				return err
			}
			e := doc.Work.Evidence[len(doc.Work.Evidence)-1]
			_, err = fmt.Fprintf(s.out, "%s SHA-256 %s SM3 %s\n", e.ID, e.Hash.SHA256, e.Hash.SM3)
			return err
		}
	}}
}

func caseOpen() command {
	return command{"case open", "--cases FILE --as NAME --source TEXT MERCHANT", "open a case from a complaint, an audit or a referral; or track B beside a case", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		var name, source, typologies, beside string
		w.flags(f)
		f.StringVar(&name, "campaign", defaultCampaign, "`NAME` of a built-in campaign or a file")
		f.StringVar(&source, "source", "", "written `SOURCE`: who said so, under which number")
		f.StringVar(&typologies, "typologies", "", "`CODES` that it speaks of, separated by commas")
		f.StringVar(&beside, "statutory", "", "in place of all these: the `CASE` beside which the statutory procedure begins")
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) != 1 && beside == "" || len(args) != 0 && beside != "" {
				return usageError{errors.New("name one merchant, or --statutory CASE")}
			}
			c, err := campaign.Load(name)
			if err != nil {
				return err
			}
			d, err := w.open(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = d.Close() }()
			who, err := w.person(ctx, d)
			if err != nil {
				return err
			}
			var doc cases.Document
			if beside != "" {
				doc, err = d.Statutory(ctx, beside, who)
			} else {
				codes := strings.FieldsFunc(typologies, func(r rune) bool { return r == ',' })
				doc, err = d.Office.Open(ctx, c.ID, vw.Subject{Kind: "merchant", ID: args[0]}, codes, source, who)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(s.out, doc.Case.CaseID)
			return err
		}
	}}
}

func caseVerbs() command {
	return command{"case verbs", "", "print the table of transitions: who may do what, from where, under which conditions", func(*flag.FlagSet) func(context.Context, []string, streams) error {
		return func(_ context.Context, args []string, s streams) error {
			if err := none(args); err != nil {
				return err
			}
			return cases.WriteTable(s.out)
		}
	}}
}

func caseRound() command {
	return command{"case round", "--cases FILE", "look at all clocks and send what waits, as serve does every minute", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		w.flags(f)
		return w.alone(func(ctx context.Context, d *app.Desk, s streams) error {
			n, err := d.Round(ctx, true)
			fmt.Fprintf(s.out, "%d 件有变化 (%d cases changed)\n", n, n)
			return err
		})
	}}
}

func casePrecision() command {
	return command{"case precision", "--cases FILE", "say how often each typology and each rule was right, by what people decided", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		w.flags(f)
		return w.alone(func(ctx context.Context, d *app.Desk, s streams) error {
			judged, err := d.Judged(ctx)
			if err != nil {
				return err
			}
			typologies, rules := cases.Precision(judged)
			return cases.WritePrecision(s.out, typologies, rules)
		})
	}}
}

func auditVerify() command {
	return command{"audit verify", "[--cases FILE | LOG]", "check the audit log: name every line that was altered, is missing or stands elsewhere", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		var first, last string
		f.StringVar(&w.cases, "cases", "", "`FILE` of the cases, or the URL of Elasticsearch; or else name a LOG that audit export wrote")
		f.StringVar(&first, "first", "", "`NUMBER:SHA256` of the line before the first one, for a log whose beginning was taken away")
		f.StringVar(&last, "last", "", "`NUMBER:SHA256` that the log must hold, kept elsewhere: shows a cut-off end")
		return func(ctx context.Context, args []string, s streams) error {
			var texts []string
			switch {
			case w.cases == "" && len(args) == 1:
				var err error
				if texts, err = readLines(args[0], s.in); err != nil {
					return err
				}
			case w.cases != "" && len(args) == 0:
				d, err := w.open(ctx)
				if err != nil {
					return err
				}
				defer func() { _ = d.Close() }()
				if texts, err = allLines(ctx, d); err != nil {
					return err
				}
			default:
				return usageError{errors.New("give either --cases or a LOG")}
			}
			end, damage := cases.Verify(texts, first, last)
			for _, x := range damage {
				fmt.Fprintf(s.out, "%s\n  %s\n", x.Text.Zh, x.Text.En)
			}
			if len(damage) > 0 {
				return &vw.Error{Op: "audit verify", Code: vw.Invalid, Hint: "secure the log as it is, then restore it from a copy", Err: fmt.Errorf("%d faults in %d lines", len(damage), len(texts))}
			}
			fmt.Fprintf(s.out, "链校验通过 intact: %d 行 lines, 末行 last %d:%s\n", len(texts), end.Seq, end.SHA256)
			return nil
		}
	}}
}

func auditExport() command {
	return command{"audit export", "--cases FILE", "write the audit log to standard output, one line each", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		f.StringVar(&w.cases, "cases", "", "`FILE` of the cases, or the URL of Elasticsearch")
		return w.alone(func(ctx context.Context, d *app.Desk, s streams) error {
			texts, err := allLines(ctx, d)
			for _, text := range texts {
				fmt.Fprintln(s.out, text)
			}
			return err
		})
	}}
}

func allLines(ctx context.Context, log cases.AuditLog) (texts []string, err error) {
	const some = 1000
	for next := int64(1); ; {
		part, err := log.Lines(ctx, next, some)
		if err != nil || len(part) == 0 {
			return texts, err
		}
		texts = append(texts, part...)
		if l, err := cases.ReadLine(part[len(part)-1]); err == nil {
			next = l.Seq + 1
		} else {
			next += int64(len(part))
		}
	}
}

func readLines(name string, in io.Reader) (texts []string, err error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, &vw.Error{Op: "audit verify", Code: vw.Invalid, Hint: "name a file that audit export wrote, or - for standard input", Err: err}
		}
		defer file.Close()
		in = file
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		texts = append(texts, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, &vw.Error{Op: "audit verify", Code: vw.Invalid, Hint: "this is no audit log", Err: err}
	}
	return texts, nil
}

func roles(words string) (out []cases.Role) {
	for _, w := range strings.FieldsFunc(words, func(r rune) bool { return r == ',' }) {
		out = append(out, cases.Role(strings.TrimSpace(w)))
	}
	return out
}

func userAdd() command {
	return command{"user add", "--cases FILE --as NAME --roles ROLES ID", "make an account; a second administrator gives it its roles with user grant", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		var name, wanted string
		w.flags(f)
		f.StringVar(&name, "name", "", "`NAME` of the person")
		f.StringVar(&wanted, "roles", "", "`ROLES` separated by commas: investigator, supervisor, legal_reviewer, auditor, regulator, administrator")
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) != 1 {
				return usageError{errors.New("name one account")}
			}
			password := os.Getenv("VOUCHERWATCH_NEW_PASSWORD")
			if password == "" {
				return usageError{errors.New("set VOUCHERWATCH_NEW_PASSWORD to the password of the new account")}
			}
			return w.administer(ctx, func(d *app.Desk, who cases.Actor) error {
				uri, err := d.People.Add(ctx, who, args[0], name, password, roles(wanted))
				if err != nil {
					return err
				}
				fmt.Fprintf(s.out, "%s\n把上一行做成二维码，供验证器应用扫描一次。 Show that line as a QR code to the person's authenticator app, once.\n", uri)
				return nil
			})
		}
	}}
}

// alone is a command that takes no argument and works on the desk.
func (w *where) alone(do func(context.Context, *app.Desk, streams) error) func(context.Context, []string, streams) error {
	return func(ctx context.Context, args []string, s streams) error {
		if err := none(args); err != nil {
			return err
		}
		d, err := w.open(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = d.Close() }()
		return do(ctx, d, s)
	}
}

// administer signs an administrator in and does something; the first account of all is made by nobody.
func (w *where) administer(ctx context.Context, do func(*app.Desk, cases.Actor) error) error {
	d, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	all, err := d.People.List(ctx)
	if err != nil {
		return err
	}
	var who cases.Actor
	if len(all) > 0 {
		if who, err = w.person(ctx, d); err != nil {
			return err
		}
	}
	return do(d, who)
}

func userList() command {
	return command{"user list", "--cases FILE", "list the accounts and their roles", func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		w.flags(f)
		return w.alone(func(ctx context.Context, d *app.Desk, s streams) error {
			all, err := d.People.List(ctx)
			for _, u := range all {
				state := ""
				if u.Disabled {
					state = "  已停用 disabled"
				}
				if u.Grant != nil {
					state += fmt.Sprintf("  待授权 waits for: %v (by %s)", u.Grant.Roles, u.Grant.By)
				}
				fmt.Fprintf(s.out, "%-16s %v%s\n", u.ID, u.Roles, state)
			}
			return err
		})
	}}
}

// userVerb is a command about one account.
func userVerb(name, args, short string, more func(f *flag.FlagSet) func(ctx context.Context, d *app.Desk, who cases.Actor, id string) error) command {
	return command{name, "--cases FILE --as NAME " + args, short, func(f *flag.FlagSet) func(context.Context, []string, streams) error {
		var w where
		w.flags(f)
		do := more(f)
		return func(ctx context.Context, args []string, s streams) error {
			if len(args) != 1 {
				return usageError{errors.New("name one account; user list shows them")}
			}
			return w.administer(ctx, func(d *app.Desk, who cases.Actor) error { return do(ctx, d, who, args[0]) })
		}
	}}
}

func userCommands() []command {
	plain := func(do func(ctx context.Context, d *app.Desk, who cases.Actor, id string) error) func(*flag.FlagSet) func(context.Context, *app.Desk, cases.Actor, string) error {
		return func(*flag.FlagSet) func(context.Context, *app.Desk, cases.Actor, string) error { return do }
	}
	return slices.Concat([]command{userAdd(), userList()}, []command{
		userVerb("user ask", "--roles ROLES ID", "ask for other roles for an account", func(f *flag.FlagSet) func(context.Context, *app.Desk, cases.Actor, string) error {
			wanted := f.String("roles", "", "`ROLES` separated by commas; none: no role")
			return func(ctx context.Context, d *app.Desk, who cases.Actor, id string) error {
				return d.People.Ask(ctx, who, id, roles(*wanted))
			}
		}),
		userVerb("user grant", "ID", "give the roles that another administrator asked for", plain(func(ctx context.Context, d *app.Desk, who cases.Actor, id string) error {
			return d.People.Grant(ctx, who, id)
		})),
		userVerb("user disable", "ID", "shut an account", plain(func(ctx context.Context, d *app.Desk, who cases.Actor, id string) error {
			return d.People.Disable(ctx, who, id, true)
		})),
		userVerb("user enable", "ID", "open an account again", plain(func(ctx context.Context, d *app.Desk, who cases.Actor, id string) error {
			return d.People.Disable(ctx, who, id, false)
		})),
		userVerb("user bind", "--issuer URL --subject ID ID", "tie an account to a person of an identity provider", func(f *flag.FlagSet) func(context.Context, *app.Desk, cases.Actor, string) error {
			issuer, subject := f.String("issuer", "", "`URL` of the identity provider"), f.String("subject", "", "`ID` of the person there")
			return func(ctx context.Context, d *app.Desk, who cases.Actor, id string) error {
				return d.People.Bind(ctx, who, id, *issuer, *subject)
			}
		}),
	})
}

func indexCommands() []command {
	with := func(name, args, short string, do func(f *flag.FlagSet) func(ctx context.Context, s streams, where string) error) command {
		return command{name, "--cases URL" + args, short, func(f *flag.FlagSet) func(context.Context, []string, streams) error {
			url := f.String("cases", "", "`URL` of Elasticsearch; keys and names of indices come from VOUCHERWATCH_ES_… (docs/cases.md)")
			run := do(f)
			return func(ctx context.Context, args []string, s streams) error {
				if err := none(args); err != nil {
					return err
				}
				if !app.IsURL(*url) {
					return usageError{errors.New("--cases must be the URL of an Elasticsearch: a file needs no index")}
				}
				return run(ctx, s, *url)
			}
		}}
	}
	return []command{
		with("index create", "", "make the index templates, indices and aliases that are missing", func(*flag.FlagSet) func(context.Context, streams, string) error {
			return func(ctx context.Context, s streams, where string) error {
				store, err := app.OpenElastic(where, 30*time.Second)
				if err != nil {
					return err
				}
				if err := store.Create(ctx); err != nil {
					return err
				}
				return writeStates(ctx, s, where)
			}
		}),
		with("index check", "", "compare templates, aliases and mappings with what this program needs", func(*flag.FlagSet) func(context.Context, streams, string) error {
			return writeStates
		}),
		with("index migrate", "", "copy the indices into this program's mappings and turn the aliases; writers wait meanwhile", func(*flag.FlagSet) func(context.Context, streams, string) error {
			return func(ctx context.Context, s streams, where string) error {
				store, err := app.OpenElastic(where, 30*time.Second)
				if err != nil {
					return err
				}
				if err := store.Migrate(ctx, func(index string, n int) { fmt.Fprintf(s.err, "\r%s %d", index, n) }); err != nil {
					return err
				}
				return writeStates(ctx, s, where)
			}
		}),
		with("index prune", "", "name the monthly indices beyond their time, and with --yes remove them", func(f *flag.FlagSet) func(context.Context, streams, string) error {
			findings, audit := f.Int("findings", 36, "`MONTHS` that findings are kept"), f.Int("audit", 36, "`MONTHS` that the audit log is kept; export it before")
			yes := f.Bool("yes", false, "remove them")
			return func(ctx context.Context, s streams, where string) error {
				store, err := app.OpenElastic(where, 30*time.Second)
				if err != nil {
					return err
				}
				names, err := store.Prune(ctx, time.Now(), *findings, *audit, !*yes)
				for _, name := range names {
					fmt.Fprintln(s.out, name)
				}
				return err
			}
		}),
	}
}

func writeStates(ctx context.Context, s streams, where string) error {
	store, err := app.OpenElastic(where, 30*time.Second)
	if err != nil {
		return err
	}
	states, err := store.Check(ctx)
	if err != nil {
		return err
	}
	faults := 0
	for _, x := range states {
		said := "ok"
		if x.Fault != "" {
			faults++
			said = x.Fault
		}
		fmt.Fprintf(s.out, "%-32s %12d 件 %14d B %-7s %s\n", x.Index, x.Documents, x.Bytes, x.Health, said)
	}
	if faults > 0 {
		return &vw.Error{Op: "index check", Code: vw.Invalid, Hint: "each line says what to do", Err: fmt.Errorf("%d of %d indices are not as they should be", faults, len(states))}
	}
	return nil
}
