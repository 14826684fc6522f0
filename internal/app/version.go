package app

import (
	"runtime"
	"runtime/debug"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// version and commit are set by the linker: -X …/internal/app.version=v1.2.3.
var version, commit string

// Version says what is running.
func Version() web.Version {
	v := web.Version{Version: version, Commit: commit, Go: runtime.Version()}
	if v.Version == "" {
		v.Version = "devel"
	}
	if info, ok := debug.ReadBuildInfo(); ok && v.Commit == "" {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				v.Commit = setting.Value
			}
		}
	}
	return v
}
