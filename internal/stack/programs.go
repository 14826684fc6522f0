package stack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// programs is where the servers' programs are; empty for one that is not on this machine.
type programs struct {
	postgres string // folder of initdb and postgres
	redis    string
	rabbit   string // folder of RabbitMQ's own scripts
	epmd     string
}

// searchPath are the folders in which programs are looked for, below a root that only tests change.
type searchPath struct {
	root   string
	lookup func(program string) (string, error)
}

func find() programs { return searchPath{root: "/", lookup: exec.LookPath}.find() }

func (s searchPath) find() programs {
	return programs{
		postgres: s.postgres(),
		redis:    s.first("usr/bin/redis-server", "redis-server"),
		rabbit:   s.rabbit(),
		epmd:     s.first("usr/bin/epmd", "epmd"),
	}
}

func (s searchPath) first(path, program string) string {
	if found := filepath.Join(s.root, path); executable(found) {
		return found
	}
	found, err := s.lookup(program)
	if err != nil {
		return ""
	}
	return found
}

// postgres is the newest version's folder. Debian keeps the servers' programs off PATH.
func (s searchPath) postgres() string {
	folders, _ := filepath.Glob(filepath.Join(s.root, "usr/lib/postgresql/*/bin")) // it errs on a bad pattern alone
	version := func(folder string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		return n
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	if found, err := s.lookup("postgres"); err == nil {
		folders = append(folders, filepath.Dir(found))
	}
	for _, folder := range folders {
		if executable(filepath.Join(folder, "initdb")) && executable(filepath.Join(folder, "postgres")) {
			return folder
		}
	}
	return ""
}

// rabbit is the folder of the real scripts: those have rabbitmq-env beside them, the wrappers on PATH do not.
func (s searchPath) rabbit() string {
	folders := []string{filepath.Join(s.root, "usr/lib/rabbitmq/bin")}
	if found, err := s.lookup("rabbitmq-server"); err == nil {
		folders = append(folders, filepath.Dir(found))
		if real, err := filepath.EvalSymlinks(found); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
	}
	for _, folder := range folders {
		if executable(filepath.Join(folder, "rabbitmq-server")) && executable(filepath.Join(folder, "rabbitmq-env")) {
			return folder
		}
	}
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// need is a server whose program is not on this machine, and what gives it.
type need struct {
	Server  string // as people call it
	Package string // of Debian and Ubuntu
	Service string // in docker/compose.yaml
	Setting string // environment variable that names a server that runs already
	URL     string // where the container is reached
}

// String says what is missing and the ways to get it.
func (n need) String() string {
	return fmt.Sprintf("%s is not installed: install the Debian package %[2]s (apt-get install %[2]s), "+
		"or run its container (docker compose -f docker/compose.yaml up -d %s) and set %s=%s", n.Server, n.Package, n.Service, n.Setting, n.URL)
}

var (
	postgresNeed = need{
		Server: "PostgreSQL", Package: "postgresql", Service: "postgres",
		Setting: "HOLDFAST_POSTGRES_URL", URL: "postgres://holdfast:holdfast@127.0.0.1:5432/holdfast",
	}
	redisNeed = need{
		Server: "Redis", Package: "redis-server", Service: "redis",
		Setting: "HOLDFAST_REDIS_URL", URL: "redis://127.0.0.1:6379/0",
	}
	rabbitNeed = need{
		Server: "RabbitMQ", Package: "rabbitmq-server", Service: "rabbitmq",
		Setting: "HOLDFAST_RABBITMQ_URL", URL: "amqp://holdfast:holdfast@127.0.0.1:5672/",
	}
)

// missing lists what Start with these options would lack.
func missing(found programs, opts Options) []need {
	var needs []need
	if opts.PostgresURL == "" && found.postgres == "" {
		needs = append(needs, postgresNeed)
	}
	if opts.RedisURL == "" && found.redis == "" {
		needs = append(needs, redisNeed)
	}
	if opts.RabbitURL == "" && (found.rabbit == "" || found.epmd == "") {
		needs = append(needs, rabbitNeed)
	}
	return needs
}

func missingError(needs []need) error {
	lines := make([]string, len(needs))
	for i, need := range needs {
		lines[i] = need.String()
	}
	return errors.New(strings.Join(lines, "\n"))
}
