// Command generate makes the files in api/ from the source: the OpenAPI document by swag from the comments above the
// handlers, a JSON Schema of every event from its Go shape, and the AsyncAPI document around those. It is run in the
// repository's folder.
//
//	go run ./api/generate          writes the files
//	go run ./api/generate -check   writes nothing and fails if a file is not as it would be made
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if a file is not fresh")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, check bool) error {
	files := map[string][]byte{}
	for _, make := range []func(context.Context, map[string][]byte) error{openAPI, events} {
		if err := make(ctx, files); err != nil {
			return err
		}
	}
	old, err := filepath.Glob("api/events/*.schema.json")
	if err != nil {
		return err
	}
	for _, path := range old {
		if _, made := files[path]; !made {
			files[path] = nil // of an event that is no more
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := put(path, files[path], check); err != nil {
			return err
		}
	}
	return nil
}

// put writes one file, removes it when it has no content, or looks whether it is fresh.
func put(path string, body []byte, check bool) error {
	switch {
	case check:
		if now, err := os.ReadFile(path); err != nil || body == nil || !bytes.Equal(now, body) {
			return fmt.Errorf("%s is not fresh: run `make api`", path)
		}
		return nil
	case body == nil:
		return os.Remove(path)
	default:
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, body, 0o644)
	}
}
