package stack

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// slimHome makes a folder of links that stands in for RabbitMQ's installation and holds only the plugins that a node
// needs. Erlang looks for every module in every plugin's folder: with a third of them the node starts in half the time.
// It fails where the plugins are packed archives.
func slimHome(bin, home string) error {
	full, err := installation(bin)
	if err != nil {
		return err
	}
	plugins, err := closure(filepath.Join(full, "plugins"), "rabbit")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(home, "plugins"), 0o755); err != nil {
		return err
	}
	for _, name := range append(plugins, "sbin", "escript") {
		if err := os.Symlink(filepath.Join(full, name), filepath.Join(home, name)); err != nil {
			return err
		}
	}
	return nil
}

// installation is the folder that has sbin and plugins, which bin's scripts are links into.
func installation(bin string) (string, error) {
	script, err := filepath.EvalSymlinks(filepath.Join(bin, "rabbitmq-server"))
	if err != nil {
		return "", err
	}
	return filepath.Dir(filepath.Dir(script)), nil
}

// closure lists the plugin folders that root and what it depends on live in, as plugins/<folder>.
func closure(plugins, root string) ([]string, error) {
	folders, err := appFolders(plugins)
	if err != nil {
		return nil, err
	}
	if folders[root] == "" {
		return nil, fmt.Errorf("no folder of %s in %s: %w", root, plugins, fs.ErrNotExist)
	}
	var all []string
	for queue := []string{root}; len(queue) > 0; {
		name := queue[0]
		queue = queue[1:]
		folder := folders[name]
		path := filepath.Join("plugins", folder)
		if folder == "" || slices.Contains(all, path) { // a part of Erlang itself, or seen before
			continue
		}
		all = append(all, path)
		needs, err := applications(filepath.Join(plugins, folder, "ebin", name+".app"))
		if err != nil {
			return nil, err
		}
		queue = append(queue, needs...)
	}
	return all, nil
}

// appFolders maps the name of each application to its folder, <name>-<version>.
func appFolders(plugins string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(plugins, "*", "ebin", "*.app"))
	if err != nil {
		return nil, err
	}
	folders := make(map[string]string, len(files))
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".app")
		folders[name] = filepath.Base(filepath.Dir(filepath.Dir(file)))
	}
	return folders, nil
}

var applicationList = regexp.MustCompile(`(?s)\{\s*(?:included_)?applications\s*,\s*\[([^\]]*)\]`)

// applications reads what an Erlang application says that it needs.
func applications(file string) ([]string, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, list := range applicationList.FindAllSubmatch(body, -1) {
		for name := range strings.SplitSeq(string(list[1]), ",") {
			all = append(all, strings.Trim(strings.TrimSpace(name), "'"))
		}
	}
	return all, nil
}
