// Command kafka runs the real broker that integration tests and development use, until it is interrupted:
// Kafka 4.1 on 127.0.0.1:9092, or on the port in KAFKA_PORT.
//
// In: Java 17 and Maven; the first run downloads 130 MB. Out: the addresses of its listeners.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"voucherwatch/internal/kafkanode"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	port := 9092
	if s := os.Getenv("KAFKA_PORT"); s != "" {
		var err error
		if port, err = strconv.Atoi(s); err != nil {
			return fmt.Errorf("KAFKA_PORT: %w", err)
		}
	}
	dir := kafkanode.Dir()
	if err := kafkanode.Prepare(ctx, dir); err != nil {
		return err
	}
	home := filepath.Join(dir, "kafka-data")
	node, err := kafkanode.Start(ctx, dir, home, port)
	if err != nil {
		return err
	}
	fmt.Printf("kafka %s, TLS %s, SASL %s, both %s (users %s and %s, password %q; data and certificates in %s; Ctrl+C ends it)\n",
		node.Plain, node.TLS, node.SASL, node.Both, kafkanode.Alice, kafkanode.Bob, kafkanode.Password, home)
	<-ctx.Done()
	return node.Stop()
}
