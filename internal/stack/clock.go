package stack

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed testdata/clock.c
var clockSource []byte

// fakeClock lets a server read its clock through a library that can move it, where that was asked for.
func (s *Server) fakeClock(c *command) error {
	if !s.folder.clocks || c.name != "postgres" && c.name != "redis" {
		return nil
	}
	library := s.clockFile() + ".so"
	if err := s.buildClock(library); err != nil {
		return fmt.Errorf("move the clock of %s: %w", c.name, err)
	}
	if err := s.SetClock(0); err != nil {
		return fmt.Errorf("move the clock of %s: %w", c.name, err)
	}
	c.env = append(c.env, "LD_PRELOAD="+library, "CLOCK_FILE="+s.clockFile())
	return nil
}

func (s *Server) buildClock(library string) error {
	source := filepath.Join(filepath.Dir(library), "clock-"+s.Name()+".c")
	if err := os.WriteFile(source, clockSource, 0o644); err != nil {
		return err
	}
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "gcc"
	}
	if said, err := exec.Command(compiler, "-shared", "-fPIC", "-O2", "-o", library, source).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func (s *Server) clockFile() string { return s.folder.path("clock-" + s.Name()) }

// SetClock moves the server's clock so far from the true one, at once. The stack has to have Clocks.
func (s *Server) SetClock(off time.Duration) error {
	file, err := os.OpenFile(s.clockFile(), os.O_CREATE|os.O_WRONLY, 0o644) // in place: the server has it mapped
	if err != nil {
		return err
	}
	seconds := binary.NativeEndian.AppendUint64(nil, uint64(int64(off/time.Second)))
	if _, err := file.WriteAt(seconds, 0); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
