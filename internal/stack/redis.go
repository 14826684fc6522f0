package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// redis runs a single Redis node that writes every change to its append-only file before it answers.
type redis struct{ program string }

func (*redis) name() string        { return "redis" }
func (*redis) portNames() []string { return []string{"redis"} }

func (*redis) url(p place) string { return "redis://" + loopback(p.ports["redis"]) + "/0" }

func (*redis) prepare(_ context.Context, p place) error { return p.makeDir("redis") }

// redisSettings are those that differ from Redis' own.
var redisSettings = [][2]string{
	{"appendonly", "yes"},
	{"appendfsync", "everysec"},
	{"save", ""},
	{"maxmemory-policy", "noeviction"},
}

func (d *redis) commands(p place) []command {
	return []command{redisCommand(d.name(), d.program, p.path("redis"), p.ports["redis"])}
}

// redisCommand runs a node, alone or of a cluster.
func redisCommand(name, program, dir string, port int) command {
	args := []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--daemonize", "no"}
	for _, setting := range redisSettings {
		args = append(args, "--"+setting[0], setting[1])
	}
	return command{
		name: name, path: program, args: args, env: bareEnv(), dir: dir,
		stop: syscall.SIGTERM, death: syscall.SIGTERM,
		ready: func(ctx context.Context) error { return pingRedis(ctx, loopback(port)) },
	}
}

// pingRedis speaks the few bytes that it takes; a client with a pool would log every attempt before the server listens.
func pingRedis(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return errors.Join(askPong(conn), conn.Close())
}

func askPong(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(pingPatience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "+PONG" { // -LOADING while it reads its file
		return fmt.Errorf("redis answers %q", answer)
	}
	return nil
}
