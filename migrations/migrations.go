// Package migrations embeds the schema, one subject a file, in goose's format.
package migrations

import "embed"

// Files are the migrations, by number.
//
//go:embed *.sql
var Files embed.FS
