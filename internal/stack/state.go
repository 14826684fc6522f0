package stack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// State is what other commands need to find a running `make run`, and what it keeps for its next start.
// It holds secrets: the file is readable by its owner alone.
type State struct {
	PostgresURL string `json:"postgres_url"`
	RedisURL    string `json:"redis_url"`
	RabbitURL   string `json:"rabbitmq_url"`
	HTTPURL     string `json:"http_url"`
	SandboxURL  string `json:"sandbox_url"`
	JWTSecret   string `json:"jwt_secret"`
	SandboxKey  string `json:"sandbox_key"`

	WebhookSecret string `json:"webhook_secret"` // what the sandbox signs with
	Namespace     string `json:"namespace"`
}

func statePath(dir string) string { return filepath.Join(dir, "state.json") }

// SaveState writes the state into the folder, replacing the one that was there.
func SaveState(dir string, state State) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("save state in %s: %w", dir, err)
	}
	if err := writeJSON(statePath(dir), state); err != nil {
		return fmt.Errorf("save state in %s: %w", dir, err)
	}
	return nil
}

// LoadState reads what SaveState wrote last. The error wraps fs.ErrNotExist when nothing was. That a state is there does not
// say that anything runs.
func LoadState(dir string) (State, error) {
	body, err := os.ReadFile(statePath(dir))
	if err != nil {
		return State{}, fmt.Errorf("load state of %s: %w", dir, err)
	}
	var state State
	if err := json.Unmarshal(body, &state); err != nil {
		return State{}, fmt.Errorf("load state of %s: %w", dir, err)
	}
	return state, nil
}
