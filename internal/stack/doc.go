// Package stack starts a private PostgreSQL, Redis and RabbitMQ as plain child processes on free loopback ports, for
// `make run` and for tests. It keeps their data, ports and process ids in one folder, so that the next start goes on where
// the last one ended, whether that was stopped in order or killed.
//
// The servers are direct children in process groups of their own: Ctrl-C does not reach them, and the kernel ends them
// when their parent dies, however it dies. Started as root they run as the user postgres, since PostgreSQL refuses root.
package stack
