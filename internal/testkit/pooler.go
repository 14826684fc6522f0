package testkit

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// NewPooler starts a PgBouncer before a database, until the test ends, and gives the database's URL through it. It gives every
// transaction the process of Postgres that was used longest ago, so that what stays with a session is lost at once. Further lines of
// its configuration may be given.
func NewPooler(t testing.TB, database string, lines ...string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // Debian's, which is on the PATH of root alone
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	login := "user=" + u.User.Username()
	if password, given := u.User.Password(); given {
		login += " password='" + strings.ReplaceAll(password, "'", "''") + "'"
	}
	config := append([]string{
		"[databases]", fmt.Sprintf("* = host=%s port=%s %s", u.Hostname(), u.Port(), login),
		"[pgbouncer]", "listen_addr = 127.0.0.1", "listen_port = " + port, "unix_socket_dir =", "auth_type = any", "pool_mode = transaction",
		"default_pool_size = 6", "server_round_robin = 1", "max_client_conn = 200", "syslog = 0",
	}, lines...)
	file := filepath.Join(t.TempDir(), "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{program, file}
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody") // it refuses to be root
	}
	startPooler(t, args)
	u.Host = net.JoinHostPort("127.0.0.1", port)
	Eventually(t, time.Minute, func() error {
		conn, err := pgx.Connect(t.Context(), u.String())
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	})
	return u.String()
}

// startPooler runs the program until the test ends, or this process does, however: then its standard input is closed.
func startPooler(t testing.TB, args []string) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `"$@" & pid=$!; cat >/dev/null; kill -9 $pid; wait $pid`, "sh"}, args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("start pgbouncer, of the Debian package of that name: %v", err)
	}
	t.Cleanup(func() {
		_ = alive.Close()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("pgbouncer said:\n%s", said.String())
		}
	})
}

// freePort is one that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
