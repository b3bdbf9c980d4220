// Command services runs the real services that integration tests and development use, until it is
// interrupted: an Elasticsearch node on 127.0.0.1:9200, or on the port in ES_PORT.
//
// In: Java 17 and Maven; the first run downloads 40 MB. Out: the URL of the node.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"voucherwatch/internal/esnode"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "services:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	port := 9200
	if s := os.Getenv("ES_PORT"); s != "" {
		var err error
		if port, err = strconv.Atoi(s); err != nil {
			return fmt.Errorf("ES_PORT: %w", err)
		}
	}
	dir := esnode.Dir()
	if err := esnode.Prepare(ctx, dir); err != nil {
		return err
	}
	node, err := esnode.Start(ctx, dir, filepath.Join(dir, "data"), port)
	if err != nil {
		return err
	}
	fmt.Println("elasticsearch", node.URL, "(data in "+filepath.Join(dir, "data")+"; Ctrl+C ends it)")
	<-ctx.Done()
	return node.Kill()
}
