package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"voucherwatch/cases"
	"voucherwatch/cases/elastic"
	"voucherwatch/cases/people"
	"voucherwatch/cases/sqlite"
	"voucherwatch/cases/vault"
	"voucherwatch/stream/ingest"

	vw "voucherwatch"
)

// Archive is an open archive of cases.
type Archive interface {
	cases.Archive
	io.Closer
}

// forever is the patience of a service: it waits for its archive rather than end.
const forever = 1 << 62

// IsURL tells the address of an Elasticsearch from the name of a file.
func IsURL(where string) bool {
	return strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://")
}

// OpenArchive opens the cases in a file, or in Elasticsearch by its URL (several: with commas between), waiting for it as
// long as patience says. What is secret, and what belongs to the cluster, comes from the environment:
//
//	VOUCHERWATCH_ES_API_KEY                   or
//	VOUCHERWATCH_ES_USERNAME, …_PASSWORD      who we are there
//	VOUCHERWATCH_ES_CA_FILE                   PEM file of a private authority
//	VOUCHERWATCH_ES_PREFIX, …_REPLICAS        names of the indices (vw), copies of each (0)
func OpenArchive(ctx context.Context, where string, patience time.Duration) (Archive, error) {
	if !IsURL(where) {
		return sqlite.Open(ctx, sqlite.Options{Path: where})
	}
	return OpenElastic(where, patience)
}

// OpenElastic is OpenArchive for a URL.
func OpenElastic(where string, patience time.Duration) (*elastic.Store, error) {
	const name = "VOUCHERWATCH_ES_"
	o := elastic.Options{URLs: strings.Split(where, ","), APIKey: os.Getenv(name + "API_KEY"), Username: os.Getenv(name + "USERNAME"), Password: os.Getenv(name + "PASSWORD"),
		Prefix: os.Getenv(name + "PREFIX"), Patience: patience, Wait: pause}
	fail := func(hint string, err error) error {
		return &vw.Error{Op: "app.OpenArchive", Code: vw.Invalid, Hint: hint, Err: err}
	}
	if s := os.Getenv(name + "REPLICAS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, fail("set "+name+"REPLICAS to a number", errors.New("the number of replicas cannot be read"))
		}
		o.Replicas = n
	}
	if file := os.Getenv(name + "CA_FILE"); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fail("name a PEM file in "+name+"CA_FILE", err)
		}
		o.CACert = b
	}
	return elastic.Open(o)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func newOffice(a cases.Archive, evidence string, now func() time.Time, ports map[string]cases.Port) (*cases.Office, error) {
	p, err := cases.LoadProcedure("", nil)
	if err != nil {
		return nil, err
	}
	blobs, err := vault.Open(evidence)
	if err != nil {
		return nil, err
	}
	return cases.NewOffice(cases.OfficeOptions{Archive: a, Procedure: p, Blobs: blobs, Now: now, Ports: ports})
}

// Desk is what the command line works with: an archive, its office and its people.
type Desk struct {
	Archive
	*cases.Office
	People *people.Accounts
}

// OpenDesk opens an archive for people. Evidence lies in a directory; empty: WHERE-evidence for a file, and for
// Elasticsearch what VOUCHERWATCH_EVIDENCE names.
func OpenDesk(ctx context.Context, where, evidence string, now func() time.Time) (*Desk, error) {
	a, err := OpenArchive(ctx, where, 30*time.Second)
	if err != nil {
		return nil, err
	}
	if evidence == "" {
		evidence = os.Getenv("VOUCHERWATCH_EVIDENCE")
	}
	if evidence == "" && IsURL(where) {
		evidence = "voucherwatch-evidence"
	} else if evidence == "" {
		evidence = where + "-evidence"
	}
	office, err := newOffice(a, evidence, now, nil)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	accounts, err := people.New(people.Options{Records: a, Audit: a, Now: now})
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return &Desk{a, office, accounts}, nil
}

// verdicts takes decisions back to the stream, as events like any other: durable before they count as sent. A repetition has the same
// id and changes nothing.
type verdicts struct{ log *ingest.Log }

func (v verdicts) Send(_ context.Context, m cases.Message) error {
	line := jsontext.Value(m.Body).Clone()
	if err := line.Compact(); err != nil {
		return &vw.Error{Op: "app.verdicts", Code: vw.Invalid, Err: err}
	}
	_, err := v.log.Append(append(line, '\n'))
	return err
}

// roundEvery is how often clocks are looked at and messages tried again.
const roundEvery = time.Minute

// rounds runs the office's round until ctx ends. An archive that is away for a while is no reason to end.
func rounds(ctx context.Context, o *cases.Office, logger *slog.Logger) error {
	for n := 0; ; n++ {
		if err := pause(ctx, roundEvery); err != nil {
			return nil
		}
		if n, err := o.Round(ctx, n%60 == 0); err != nil && ctx.Err() == nil {
			logger.Warn("round of the office incomplete", slog.String("code", string(vw.CodeOf(err))))
		} else if n > 0 {
			logger.Info("round of the office", slog.Int("count", n))
		}
	}
}
