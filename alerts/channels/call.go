package channels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"voucherwatch/alerts"

	vw "voucherwatch"
)

// most is how much of an answer is read.
const most = 64 << 10

// temporary and permanent say whether a retry can help.
func temporary(op string, format string, args ...any) error {
	return &vw.Error{Op: op, Code: vw.Unavailable, Err: fmt.Errorf(format, args...)}
}

func permanent(op string, format string, args ...any) error {
	return &vw.Error{Op: op, Code: vw.Invalid, Err: fmt.Errorf(format, args...)}
}

// call sends a request and reads the answer. An answer without success is an error; the vendor's own
// code in a successful one is the caller's to read.
func call(ctx context.Context, c *http.Client, op, method, address string, header http.Header, body []byte) (alerts.Receipt, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return alerts.Receipt{}, nil, permanent(op, "the address is not a web address")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	req.Header.Set("User-Agent", "voucherwatch")
	resp, err := c.Do(req)
	if err != nil {
		return alerts.Receipt{}, nil, lineError(op, err)
	}
	defer func() { _ = resp.Body.Close() }()
	r := alerts.Receipt{Status: resp.StatusCode, Code: strconv.Itoa(resp.StatusCode)}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return r, nil, lineError(op, err)
	}
	if s := resp.Header.Get("Retry-After"); s != "" {
		if n, err := strconv.Atoi(s); err == nil && n > 0 {
			r.RetryAfter = time.Duration(n) * time.Second
		}
	}
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return r, answer, nil
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly:
		return r, answer, temporary(op, "HTTP status %d", code)
	case code >= 300 && code < 400:
		return r, answer, permanent(op, "HTTP status %d: the address has moved; correct it", code)
	default:
		return r, answer, permanent(op, "HTTP status %d", code)
	}
}

var errPrivate = errors.New("the address is in a private network")

// publicOnly refuses connections to addresses that are not of the public internet. It sees the address
// that is really dialled, so that no name can lead around it.
func publicOnly(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return err
	}
	if ip = ip.Unmap(); !ip.IsGlobalUnicast() || ip.IsPrivate() || reserved(ip) {
		return errPrivate
	}
	return nil
}

// reserved are ranges that netip does not name: carriers' (100.64/10), 0/8, benchmarks', documentation's,
// 240/4, and what leads to IPv4 by another way.
func reserved(ip netip.Addr) bool {
	for _, p := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "64:ff9b::/96", "2001:db8::/32", "2002::/16"} {
		if netip.MustParsePrefix(p).Contains(ip) {
			return true
		}
	}
	return false
}

// lineError is what went wrong on the way. The address is left out: of a hook it is the secret.
func lineError(op string, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, errPrivate) {
		return &vw.Error{Op: op, Code: vw.Invalid, Hint: "set allow_private if that is meant", Err: errPrivate}
	}
	return &vw.Error{Op: op, Code: vw.Unavailable, Err: err}
}

// encode writes JSON in one fixed form.
func encode(op string, v any) ([]byte, error) {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, permanent(op, "write the message: %w", err)
	}
	return b, nil
}

// decode reads a vendor's answer; what is not its JSON (a captive portal's page) is no success.
func decode(op string, answer []byte, into any) error {
	if err := json.Unmarshal(answer, into); err != nil {
		return temporary(op, "the answer is not the vendor's: %d bytes that are not its JSON", len(answer))
	}
	return nil
}
