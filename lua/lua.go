// Package lua embeds the scripts that run in Redis, one a file. The header of each says its keys, arguments, answers and cost.
// Every script touches one hash slot, declares its keys, checks its arguments and what it finds before it writes, and does
// bounded work, so that the same files run on one node and on a cluster.
package lua

import (
	"embed"
	"strings"
)

// Names of the scripts, as redisx.Scripts runs them.
const (
	Hold       = "hold"
	Release    = "release"
	Extend     = "extend"
	Undo       = "undo"
	Settle     = "settle"
	Read       = "read"
	Tell       = "tell"
	Sweep      = "sweep"
	Take       = "take"
	Open       = "open"
	Load       = "load"
	State      = "state"
	Repair     = "repair"
	Amend      = "amend"
	Recount    = "recount"
	CartPut    = "cart_put"
	CartDrop   = "cart_drop"
	CartRepair = "cart_repair"
	Unlock     = "unlock"
	Memory     = "memory"
)

//go:embed *.lua
var files embed.FS

// Sources gives every script by name, complete as Redis gets it: the scripts of a product begin with the common part of
// product.inc.lua, and where they know owners, that of owner.inc.lua.
func Sources() map[string]string {
	sources := map[string]string{}
	common := read("product.inc")
	owners := common + read("owner.inc")
	for _, name := range []string{Settle, Read, Tell, Sweep, Open, State, Recount} {
		sources[name] = behind(common, read(name))
	}
	for _, name := range []string{Hold, Release, Extend, Undo, Load, Repair, Amend} {
		sources[name] = behind(owners, read(name))
	}
	for _, name := range []string{CartPut, CartDrop, CartRepair, Unlock, Memory, Take} {
		sources[name] = read(name)
	}
	return sources
}

// behind puts a script behind its common part, but for its first line, which Redis wants to be the first.
func behind(common, script string) string {
	shebang, body, _ := strings.Cut(script, "\n")
	return shebang + "\n" + common + body
}

func read(name string) string {
	body, err := files.ReadFile(name + ".lua")
	if err != nil {
		panic(err) // it is embedded under that name, or the program was not built from this folder
	}
	return string(body)
}
