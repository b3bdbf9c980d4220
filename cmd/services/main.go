// Command services runs a real service that integration tests and development use, until it is
// interrupted: elasticsearch on 127.0.0.1:9200 (or the port in ES_PORT), or kafka on 127.0.0.1:9092 (or the
// port in KAFKA_PORT).
//
// In: the name of the service; Java 17 and Maven, the first run downloads 40 or 130 MB. Out: where it listens.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"voucherwatch/internal/javanode"
	"voucherwatch/test/esnode"
	"voucherwatch/test/kafkanode"
)

// service starts on a port, says where it listens, and gives back what stops it.
type service struct {
	variable string // of the environment, with the port
	port     int
	start    func(ctx context.Context, dir string, port int) (where string, stop func() error, err error)
}

var services = map[string]service{
	"elasticsearch": {"ES_PORT", 9200, func(ctx context.Context, dir string, port int) (string, func() error, error) {
		if err := esnode.Prepare(ctx, dir); err != nil {
			return "", nil, err
		}
		home := filepath.Join(dir, "data")
		node, err := esnode.Start(ctx, dir, home, port)
		if err != nil {
			return "", nil, err
		}
		return fmt.Sprintf("%s (data in %s", node.URL, home), node.Kill, nil
	}},
	"kafka": {"KAFKA_PORT", 9092, func(ctx context.Context, dir string, port int) (string, func() error, error) {
		if err := kafkanode.Prepare(ctx, dir); err != nil {
			return "", nil, err
		}
		home := filepath.Join(dir, "kafka-data")
		node, err := kafkanode.Start(ctx, dir, home, port)
		if err != nil {
			return "", nil, err
		}
		return fmt.Sprintf("%s, TLS %s, SASL %s, both %s (users %s and %s, password %q; data and certificates in %s",
			node.Plain, node.TLS, node.SASL, node.Both, kafkanode.Alice, kafkanode.Bob, kafkanode.Password, home), node.Stop, nil
	}},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "services:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, args []string) error {
	if len(args) != 1 || services[args[0]].start == nil {
		return fmt.Errorf("name one service: elasticsearch or kafka")
	}
	s := services[args[0]]
	if text := os.Getenv(s.variable); text != "" {
		var err error
		if s.port, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("%s: %w", s.variable, err)
		}
	}
	where, stop, err := s.start(ctx, javanode.Dir(), s.port)
	if err != nil {
		return err
	}
	fmt.Println(args[0], where+"; Ctrl+C ends it)")
	<-ctx.Done()
	return stop()
}
