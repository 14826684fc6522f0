package stack

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func dockerFile(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "..", "docker", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// settingsIn reads lines of a name and a value, with separator between them.
func settingsIn(text, separator string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), separator); ok && !strings.HasPrefix(line, "#") {
			all[strings.TrimSpace(name)] = strings.Trim(strings.TrimSpace(value), `'"`)
		}
	}
	return all
}

func TestContainersHaveTheSameSettings(t *testing.T) {
	t.Parallel()
	place := place{folder: &folder{}, ports: map[string]int{}}
	ours := (&postgres{}).settings(place)
	theirs := settingsIn(dockerFile(t, "postgres.conf"), "=")
	for _, own := range []string{"listen_addresses", "port", "unix_socket_directories"} { // a container's network is its own
		delete(ours, own)
		delete(theirs, own)
	}
	if diff := cmp.Diff(ours, theirs); diff != "" {
		t.Errorf("PostgreSQL (-here +container):\n%s", diff)
	}
	theirs = settingsIn(dockerFile(t, "redis.conf"), " ")
	for _, setting := range redisSettings {
		if got, ok := theirs[setting[0]]; !ok || got != setting[1] {
			t.Errorf("Redis %s is %q in the container, %q here", setting[0], got, setting[1])
		}
	}
}

type compose struct {
	Services map[string]struct {
		Ports       []string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		HealthCheck struct{ Test []string }               `yaml:"healthcheck"`
		Environment map[string]string
	}
}

// variable is a value of the environment with a default, as compose writes it.
var variable = regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)

func TestComposeGivesWhatIsMissing(t *testing.T) {
	t.Parallel()
	var file compose
	if err := yaml.Unmarshal([]byte(variable.ReplaceAllString(dockerFile(t, "compose.yaml"), "$1")), &file); err != nil {
		t.Fatal(err)
	}
	for _, need := range missing(programs{}, Options{}) {
		at, err := url.Parse(need.URL)
		if err != nil {
			t.Fatal(err)
		}
		service, ok := file.Services[need.Service]
		if !ok || len(service.Ports) != 1 || service.Ports[0] != "127.0.0.1:"+at.Port()+":"+at.Port() {
			t.Errorf("service %s publishes %v, want %s", need.Service, service.Ports, at.Host)
		}
		if _, ok := file.Services["server"].Environment[need.Setting]; !ok {
			t.Errorf("the server is not given %s", need.Setting)
		}
	}
	for name, service := range file.Services {
		for _, published := range service.Ports {
			if !strings.HasPrefix(published, "127.0.0.1:") {
				t.Errorf("%s publishes %s to the world", name, published)
			}
		}
		for other, how := range service.DependsOn {
			dependency, ok := file.Services[other]
			if !ok || how.Condition == "service_healthy" && len(dependency.HealthCheck.Test) == 0 {
				t.Errorf("%s waits for %s to be %s, which it never is", name, other, how.Condition)
			}
		}
	}
}
