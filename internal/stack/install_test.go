package stack

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// anInstallation is install.sh on a machine below root, with an apt-get and a user of ours.
type anInstallation struct {
	root, bin string
	apt       string // what apt-get does, in shell
	user      string // its number
	env, args []string
}

const policyPath = "usr/sbin/policy-rc.d"

// run answers what the script printed, and what apt-get was told, a line each; every line begins with the policy it met.
func (i anInstallation) run(t *testing.T) (printed, told string, err error) {
	t.Helper()
	told = filepath.Join(i.root, "told")
	for name, body := range map[string]string{
		"id":      "echo " + i.user,
		"apt-get": `echo "$(tail -n 1 "` + filepath.Join(i.root, policyPath) + `") $*" >>` + told + "; " + i.apt,
	} {
		if err := os.WriteFile(filepath.Join(i.bin, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{"install.sh"}, i.args...)...)
	cmd.Env = append([]string{"PATH=" + i.bin + ":" + os.Getenv("PATH"), "INSTALL_ROOT=" + i.root}, i.env...)
	out, err := cmd.CombinedOutput()
	return string(out), content(t, told), err
}

func newInstallation(t *testing.T) anInstallation {
	t.Helper()
	i := anInstallation{root: t.TempDir(), bin: t.TempDir(), apt: "exit 0", user: "0"}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(i.root, policyPath)), 0o755); err != nil {
		t.Fatal(err)
	}
	return i
}

func content(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(body)
}

func TestInstallKeepsServicesDown(t *testing.T) {
	t.Parallel()
	const machines, left = "#!/bin/sh\nexit 0\n", "#!/bin/sh\n# Made by holdfast while it installs packages, and removed afterwards.\nexit 77\n"
	for name, c := range map[string]struct {
		before string // the machine's own policy, "" for none
		during string // its last line
		after  string
		apt    string
	}{
		"no policy":                   {before: "", during: "exit 101", after: "", apt: "exit 0"},
		"a policy of the machine":     {before: machines, during: "exit 0", after: machines, apt: "exit 0"},
		"one that a killed run left":  {before: left, during: "exit 101", after: "", apt: "exit 0"},
		"an installation that failed": {before: "", during: "exit 101", after: "", apt: "echo no network; exit 100"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t)
			i.apt = c.apt
			if c.before != "" {
				if err := os.WriteFile(filepath.Join(i.root, policyPath), []byte(c.before), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			printed, told, err := i.run(t)
			if failed := c.apt != "exit 0"; failed != (err != nil) || failed != strings.Contains(printed, "no network") {
				t.Errorf("error %v, printed %q", err, printed)
			}
			if !strings.HasPrefix(told, c.during+" ") {
				t.Errorf("apt-get was told, under the policy named first: %q", told)
			}
			if err == nil && !strings.Contains(told, "install -y --no-install-recommends postgresql redis-server rabbitmq-server\n") {
				t.Errorf("apt-get was told %q", told)
			}
			if left, _ := filepath.Glob(filepath.Join(i.root, "etc/postgresql-common/createcluster.d/*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			if got := content(t, filepath.Join(i.root, policyPath)); got != c.after {
				t.Errorf("policy afterwards: %q, want %q", got, c.after)
			}
		})
	}
}

// Lists that are missing or too old are read anew, and only those.
func TestInstallReadsTheListsWhenItMust(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.apt = `case "$*" in *update*) touch ` + i.root + `/lists ;; *) test -e ` + i.root + `/lists || exit 100 ;; esac`
	printed, told, err := i.run(t)
	if err != nil || strings.Count(told, " update\n") != 1 || strings.Count(told, " install ") != 2 {
		t.Errorf("without lists: %v, printed %q, apt-get was told %q", err, printed, told)
	}
	i = newInstallation(t)
	i.apt = `grep -q create_main_cluster.=.false ` + i.root + `/etc/postgresql-common/createcluster.d/holdfast.conf`
	printed, told, err = i.run(t)
	if err != nil || strings.Contains(told, " update\n") {
		t.Errorf("with lists: %v, printed %q, apt-get was told %q", err, printed, told)
	}
}

func TestInstallsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant []string
		env   []string
		args  []string
		user  string
		want  string // the packages, "" when apt-get is not called
	}{
		"all are there":    {plant: []string{"usr/lib/postgresql/15/bin/initdb", "usr/bin/redis-server", "usr/lib/rabbitmq/bin/rabbitmq-server"}, user: "0"},
		"a client alone":   {plant: []string{"usr/lib/postgresql/15/bin/psql", "usr/bin/redis-server"}, user: "0", want: "postgresql rabbitmq-server\n"},
		"one elsewhere":    {env: []string{"HOLDFAST_RABBITMQ_URL=amqp://x"}, user: "0", want: "postgresql redis-server\n"},
		"not root":         {user: "1000"},
		"for tests":        {args: []string{"--tests"}, user: "0", want: "postgresql redis-server rabbitmq-server gcc libc6-dev pgbouncer\n"},
		"nothing, as root": {user: "0", want: "postgresql redis-server rabbitmq-server\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t)
			i.user, i.env, i.args = c.user, c.env, c.args
			plant(t, i.root, c.plant...)
			printed, told, err := i.run(t)
			if err != nil {
				t.Fatalf("%v: %s", err, printed)
			}
			if (c.want == "") != (told == "") || !strings.HasSuffix(told, c.want) {
				t.Errorf("apt-get was told %q, want it to end with %q", told, c.want)
			}
		})
	}
}
