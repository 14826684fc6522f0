//go:build nextbuild

package broker

import amqp "github.com/rabbitmq/amqp091-go"

// A build with this tag stands for the version after this one, in the tests that run two versions side by side: its modules' queues
// have an argument more.
func init() { moreArguments = amqp.Table{"x-queue-leader-locator": "balanced"} }
