package ingest

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
)

const childEnv = "VW_INGEST_CHILD_DIR"

// TestMain is the service itself when the crash test starts this binary again.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		fmt.Fprintln(os.Stderr, serveChild(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveChild(dir string) error {
	l, err := OpenLog(Options{Dir: dir, SegmentBytes: 16 << 10})
	if err != nil {
		return err
	}
	h, err := NewHandler(HandlerOptions{Log: l, Tokens: []string{testToken}})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, h)
}

func TestEveryAcknowledgedBatchSurvivesKill(t *testing.T) {
	const clients, acks, rounds = 8, 150, 3
	dir := t.TempDir()
	acked := map[Position]string{} // what was acknowledged, in all rounds
	sent := map[string]bool{}
	for round := range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childEnv+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		addr, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		n := 0
		for c := range clients {
			wg.Go(func() {
				for i := 0; ; i++ {
					body := fmt.Sprintf("round %d client %d batch %d %s\n", round, c, i, strings.Repeat("x", i*37%800))
					mu.Lock()
					sent[body] = true
					mu.Unlock()
					at, err := postTo(strings.TrimSpace(addr), body)
					if err != nil {
						return // killed
					}
					mu.Lock()
					acked[at] = body
					if n++; n == acks {
						_ = child.Process.Kill() // SIGKILL while the others post
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		_ = child.Wait()

		l := copyOpen(t, dir)
		found, extra, last := 0, 0, map[string]int{}
		for r, err := range l.Read(t.Context(), Position{}) {
			if err != nil {
				t.Fatal(err)
			}
			body := string(r.Data)
			want, ok := acked[r.At]
			if ok {
				if found++; body != want {
					t.Errorf("at %v is %q, acknowledged was %q", r.At, body, want)
				}
			} else if extra++; !sent[body] {
				t.Errorf("at %v is what nobody sent: %q", r.At, body)
			}
			var rn, cn, bn int
			if _, err := fmt.Sscanf(body, "round %d client %d batch %d", &rn, &cn, &bn); err != nil {
				t.Fatal(err)
			}
			if key := fmt.Sprint(rn, cn); bn != last[key] {
				t.Errorf("round %d client %d has batch %d where %d is due", rn, cn, bn, last[key])
			} else {
				last[key]++
			}
			if r.Next.Compare(l.End()) == 0 {
				break
			}
		}
		if found != len(acked) || extra > clients*(round+1) || n < acks {
			t.Errorf("round %d: %d of %d acknowledged batches are in the log, and %d others", round, found, len(acked), extra)
		}
		t.Logf("round %d: %d acknowledged, %d others, end %v", round, found, extra, l.End())
	}
}

func postTo(addr, body string) (at Position, err error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/v1/events", strings.NewReader(body))
	if err != nil {
		return at, err
	}
	req.Header.Set("Authorization", "Bearer "+testToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return at, err
	}
	defer resp.Body.Close()
	var answer struct {
		Position Position `json:"position"`
	}
	if err := json.UnmarshalRead(resp.Body, &answer); err != nil {
		return at, err
	}
	if resp.StatusCode != http.StatusAccepted {
		return at, fmt.Errorf("status %d", resp.StatusCode)
	}
	return answer.Position, nil
}
