package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// Where swag finds the general part.
const (
	generalInfo = "apidoc.go"
	infoDir     = "internal/web"
)

const problemRef = "#/definitions/web.Problem"

// openAPI makes api/swagger.json and api/swagger.yaml.
func openAPI(ctx context.Context, files map[string][]byte) error {
	raw, err := runSwag(ctx)
	if err != nil {
		return err
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("read what swag wrote: %w", err)
	}
	complete(doc)
	if files["api/swagger.json"], err = indented(doc); err != nil {
		return err
	}
	files["api/swagger.yaml"], err = asYAML(doc)
	return err
}

func runSwag(ctx context.Context) ([]byte, error) {
	dirs, err := rooms()
	if err != nil {
		return nil, err
	}
	out, err := os.MkdirTemp("", "swag-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	swag := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/go.mod", "swag", "init", "--quiet", "--generalInfo", generalInfo,
		"--dir", strings.Join(dirs, ","), "--requiredByDefault", "--overridesFile", "api/overrides.swaggo",
		"--outputTypes", "json", "--output", out)
	if said, err := swag.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("swag: %w\n%s", err, said)
	}
	return os.ReadFile(filepath.Join(out, "swagger.json"))
}

// rooms are the folders that swag reads, the one with the general part first: handlers anywhere may answer types of any
// other room.
func rooms() ([]string, error) {
	files, err := filepath.Glob("internal/*/*.go")
	if err != nil {
		return nil, err
	}
	dirs := []string{infoDir}
	for _, file := range files {
		if dir := filepath.Dir(file); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// complete adds what is the same for every operation, so that no handler's comment has to say it: where the API lives, and
// that anything can be answered by a problem.
func complete(doc map[string]any) {
	paths := map[string]any{}
	for path, item := range doc["paths"].(map[string]any) {
		operations := item.(map[string]any)
		if !outsidePrefix(operations) && !strings.HasPrefix(path, web.Prefix) {
			path = web.Prefix + path
		}
		for _, operation := range operations {
			addProblems(operation.(map[string]any))
			renameExamples(operation.(map[string]any))
		}
		paths[path] = operations
	}
	doc["paths"] = paths
}

// outsidePrefix is what the server answers besides the API.
func outsidePrefix(operations map[string]any) bool {
	for _, operation := range operations {
		tags, _ := operation.(map[string]any)["tags"].([]any)
		if slices.Contains(tags, any("probes")) || slices.Contains(tags, any("documents")) {
			return true
		}
	}
	return false
}

// renameExamples gives the examples of parameters the name that Swagger 2.0 leaves to extensions: it knows those of schemas only.
func renameExamples(operation map[string]any) {
	parameters, _ := operation["parameters"].([]any)
	for _, p := range parameters {
		parameter := p.(map[string]any)
		if example, there := parameter["example"]; there {
			delete(parameter, "example")
			parameter["x-example"] = example
		}
	}
}

func addProblems(operation map[string]any) {
	responses := operation["responses"].(map[string]any)
	if _, there := responses["default"]; !there {
		responses["default"] = map[string]any{"description": "a problem", "schema": map[string]any{"$ref": problemRef}}
	}
	produces, _ := operation["produces"].([]any)
	if problem := any("application/problem+json"); !slices.Contains(produces, problem) {
		operation["produces"] = append(produces, problem)
	}
}

func indented(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return out.Bytes(), err
}

func asYAML(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}
