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
	"strconv"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// rabbit runs RabbitMQ without plugins, with an epmd (Erlang's port mapper) of its own: the one that Erlang would start
// listens to the whole world and stays for good.
type rabbit struct {
	bin  string // folder of RabbitMQ's own scripts; the wrappers on PATH drop the environment that keeps a node private
	epmd string
	home string // what the scripts take for the installation; known once prepared
}

func (*rabbit) name() string        { return "rabbitmq" }
func (*rabbit) portNames() []string { return []string{"rabbitmq", "rabbitmq-dist", "epmd"} }

func (*rabbit) url(p place) string {
	return "amqp://guest:guest@" + loopback(p.ports["rabbitmq"]) + "/"
}

func (d *rabbit) prepare(_ context.Context, p place) error {
	for _, dir := range []string{"", "mnesia", "log", "home"} {
		if err := p.makeDir("rabbitmq", dir); err != nil {
			return err
		}
	}
	if err := writeCookie(p); err != nil {
		return err
	}
	for name, body := range rabbitFiles {
		if err := os.WriteFile(p.path("rabbitmq", name), []byte(body), 0o644); err != nil {
			return err
		}
	}
	d.home = p.path("rabbitmq", "slim")
	if err := slimHome(d.bin, d.home); err != nil {
		d.home = filepath.Dir(d.bin) // slower to start, and otherwise the same
	}
	return nil
}

// rabbitFiles are the node's configuration. It is all in the advanced file: reading the other kind takes half a second.
var rabbitFiles = map[string]string{
	"enabled_plugins": "[].\n",
	"advanced.config": "[{rabbit,[{log,[{console,[{enabled,false}]}]},{disk_free_limit,50000000}]}].\n",
}

// writeCookie makes the secret by which Erlang nodes know each other. Erlang insists on the file's mode.
func writeCookie(p place) error {
	path := p.path("rabbitmq", "home", ".erlang.cookie")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(path, []byte(rand.Text()), 0o400); err != nil {
		return err
	}
	return p.as.own(path)
}

func (d *rabbit) commands(p place) []command {
	epmd := loopback(p.ports["epmd"])
	return []command{
		{
			name: "epmd", path: d.epmd, args: []string{"-address", "127.0.0.1", "-port", strconv.Itoa(p.ports["epmd"])},
			env: bareEnv(), dir: p.path("rabbitmq"), stop: syscall.SIGTERM, death: syscall.SIGKILL,
			ready: func(ctx context.Context) error { return dial(ctx, epmd) },
		},
		{
			name: d.name(), path: filepath.Join(d.bin, "rabbitmq-server"), env: d.env(p), dir: p.path("rabbitmq"),
			stop: syscall.SIGTERM, death: syscall.SIGTERM, // in order, for the sake of queues that are seconds old: see Kill
			ready: func(ctx context.Context) error { return pingRabbit(ctx, d.url(p)) },
		},
	}
}

// env is the node's whole environment.
func (d *rabbit) env(p place) []string {
	at := func(name string) string { return p.path("rabbitmq", name) }
	return append(bareEnv(),
		"HOME="+at("home"),
		"RABBITMQ_SCRIPTS_DIR="+filepath.Join(d.home, "sbin"),
		"RABBITMQ_PLUGINS_DIR="+filepath.Join(d.home, "plugins"),
		"RABBITMQ_NODENAME=rabbit@localhost", // names are per epmd
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+strconv.Itoa(p.ports["rabbitmq"]),
		"RABBITMQ_DIST_PORT="+strconv.Itoa(p.ports["rabbitmq-dist"]),
		"RABBITMQ_MNESIA_BASE="+at("mnesia"),
		"RABBITMQ_LOG_BASE="+at("log"),
		"RABBITMQ_PID_FILE="+at("pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+at("enabled_plugins"),
		"RABBITMQ_CONFIG_FILE="+at("none.conf"), // not there, and so are the next: the machine's own are not read
		"RABBITMQ_CONFIG_FILES="+at("conf.d/*.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE="+at("advanced.config"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"ERL_EPMD_PORT="+strconv.Itoa(p.ports["epmd"]),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_CRASH_DUMP_SECONDS=0",
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes the node, instead of staying in front of it
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+B i -kernel inet_dist_use_interface {127,0,0,1}",
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
