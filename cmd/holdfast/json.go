package main

import (
	"encoding/json"
	"os"
)

// writeJSON writes v to a file, indented.
func writeJSON(path string, v any) error {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(body, '\n'), 0o644)
}
