// Package migrations embeds the schemas in goose's format: a file for each schema, with every table as it is. Nothing was released
// before 0101; what a release has applied is never edited, and its changes follow as files of their own.
package migrations

import "embed"

// Files are the migrations, by number.
//
//go:embed *.sql
var Files embed.FS
