package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// rabbit runs RabbitMQ without plugins, with an epmd (Erlang's port mapper) of its own: the one that Erlang would start
// listens to the whole world and stays for good.
type rabbit struct {
	bin     string // folder of RabbitMQ's own scripts; the wrappers on PATH drop the environment that keeps a node private
	epmd    string
	home    string // see prepareNode; known once prepared
	relaxed bool   // one processor
}

func (*rabbit) name() string        { return "rabbitmq" }
func (*rabbit) portNames() []string { return []string{"rabbitmq", "rabbitmq-dist", "epmd"} }

func (*rabbit) url(p place) string {
	return "amqp://guest:guest@" + loopback(p.ports["rabbitmq"]) + "/"
}

func (d *rabbit) prepare(_ context.Context, p place) error {
	if err := writeCookie(p, "rabbitmq", "home"); err != nil {
		return err
	}
	home, err := prepareNode(p, d.bin, rabbitSettings, "rabbitmq")
	d.home = home
	return err
}

// rabbitSettings are those that differ from RabbitMQ's own.
const rabbitSettings = "{log,[{console,[{enabled,false}]}]},{disk_free_limit,50000000}"

// prepareNode makes a node's folder with its configuration, and answers what the scripts are to take for the installation. The
// configuration is all in the advanced file: reading the other kind takes half a second.
func prepareNode(p place, bin, settings string, dir ...string) (home string, err error) {
	in := func(name string) []string { return append(slices.Clone(dir), name) }
	for _, name := range []string{"", "mnesia", "log"} {
		if err := p.makeDir(in(name)...); err != nil {
			return "", err
		}
	}
	for name, body := range map[string]string{"enabled_plugins": "[].\n", "advanced.config": "[{rabbit,[" + settings + "]}].\n"} {
		if err := os.WriteFile(p.path(in(name)...), []byte(body), 0o644); err != nil {
			return "", err
		}
	}
	home = p.path(in("slim")...)
	if err := slimHome(bin, home); err != nil {
		home = filepath.Dir(bin) // slower to start, and otherwise the same
	}
	return home, nil
}

// writeCookie makes a home folder with the secret by which Erlang nodes know each other. Erlang insists on the file's mode.
func writeCookie(p place, home ...string) error {
	for i := range home {
		if err := p.makeDir(home[:i+1]...); err != nil {
			return err
		}
	}
	path := filepath.Join(p.path(home...), ".erlang.cookie")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(path, []byte(rand.Text()), 0o400); err != nil {
		return err
	}
	return p.as.own(path)
}

// oneProcessor spares Erlang's schedulers the waking of each other: a start costs a fifth less.
const oneProcessor = " +S 1:1"

func (d *rabbit) commands(p place) []command {
	n := erlang{
		name: "rabbit@localhost", // names are per epmd
		amqp: p.ports["rabbitmq"], dist: p.ports["rabbitmq-dist"], epmd: p.ports["epmd"],
		dir: p.path("rabbitmq"), home: p.path("rabbitmq", "home"), slim: d.home,
	}
	if d.relaxed {
		n.args = oneProcessor
	}
	return []command{epmdCommand(d.epmd, p.ports["epmd"], n.dir), n.command(d.name(), d.bin, d.url(p))}
}

func epmdCommand(program string, port int, dir string) command {
	return command{
		name: "epmd", path: program, args: []string{"-address", "127.0.0.1", "-port", strconv.Itoa(port)},
		env: bareEnv(), dir: dir, stop: syscall.SIGTERM, death: syscall.SIGKILL,
		ready: func(ctx context.Context) error { return dial(ctx, loopback(port)) },
	}
}

// erlang is what one node is started with.
type erlang struct {
	name             string
	amqp, dist, epmd int    // ports
	dir              string // of its data
	home             string // with the cookie
	slim             string // what the scripts take for the installation
	args             string // further ones for Erlang
}

func (n erlang) command(name, bin, url string) command {
	return command{
		name: name, path: filepath.Join(bin, "rabbitmq-server"), env: n.env(), dir: n.dir,
		stop: syscall.SIGTERM, death: syscall.SIGTERM, // in order, for the sake of queues that are seconds old: see Kill
		ready: func(ctx context.Context) error { return pingRabbit(ctx, url) },
	}
}

// env is the node's whole environment.
func (n erlang) env() []string {
	at := func(name string) string { return filepath.Join(n.dir, name) }
	return append(bareEnv(),
		"HOME="+n.home,
		"RABBITMQ_SCRIPTS_DIR="+filepath.Join(n.slim, "sbin"),
		"RABBITMQ_PLUGINS_DIR="+filepath.Join(n.slim, "plugins"),
		"RABBITMQ_NODENAME="+n.name,
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+strconv.Itoa(n.amqp),
		"RABBITMQ_DIST_PORT="+strconv.Itoa(n.dist),
		"RABBITMQ_MNESIA_BASE="+at("mnesia"),
		"RABBITMQ_LOG_BASE="+at("log"),
		"RABBITMQ_PID_FILE="+at("pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+at("enabled_plugins"),
		"RABBITMQ_CONFIG_FILE="+at("none.conf"), // not there, and so are the next: the machine's own are not read
		"RABBITMQ_CONFIG_FILES="+at("conf.d/*.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE="+at("advanced.config"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"ERL_EPMD_PORT="+strconv.Itoa(n.epmd),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_CRASH_DUMP_SECONDS=0",
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes the node, instead of staying in front of it
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+B i -kernel inet_dist_use_interface {127,0,0,1}"+n.args,
	)
}

func dial(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

func pingRabbit(ctx context.Context, url string) error {
	conn, err := amqp.DialConfig(url, amqp.Config{
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: pingPatience}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return conn, conn.SetDeadline(time.Now().Add(pingPatience))
		},
	})
	if err != nil {
		return err
	}
	_, err = conn.Channel()
	if closeErr := conn.Close(); err == nil && closeErr != nil {
		return fmt.Errorf("close: %w", closeErr)
	}
	return err
}
