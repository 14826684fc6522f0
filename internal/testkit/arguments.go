package testkit

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// arguments writes what a statement was sent with as it may be explained with: values that were made up as a test ran are replaced
// by those that the generated data has.
func arguments(args []any) string {
	var all []string
	for _, arg := range args {
		switch arg.(type) {
		case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
			continue // says how to send it
		}
		all = append(all, argument(reflect.ValueOf(arg)))
	}
	return strings.Join(all, ", ")
}

func argument(v reflect.Value) string {
	if !v.IsValid() {
		return "NULL"
	}
	switch x := v.Interface().(type) {
	case uuid.UUID:
		if x == uuid.Nil {
			return quoted(x.String())
		}
		return "id(9500)"
	case time.Time:
		return "now()"
	case time.Duration:
		return quoted(fmt.Sprintf("%d ms", x.Milliseconds()))
	case []byte:
		return `'\x7b7d'`
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return "NULL"
		}
		return argument(v.Elem())
	case reflect.Slice:
		return list(v)
	case reflect.String:
		if _, err := uuid.Parse(v.String()); err == nil {
			return "'sku 9500'" // as many tests name products
		}
		return quoted(v.String())
	case reflect.Bool, reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64, reflect.Float64:
		return quoted(fmt.Sprint(v.Interface())) // which may be of any type
	default:
		return "NULL"
	}
}

// list writes the first few. Those of ids and of times have as many as a small batch.
func list(v reflect.Value) string {
	switch v.Type().Elem() {
	case reflect.TypeFor[uuid.UUID]():
		return "ids(9500, 10)"
	case reflect.TypeFor[time.Time](), reflect.TypeFor[*time.Time]():
		return "array_fill(now(), '{10}')"
	}
	var all []string
	for i := range min(v.Len(), 3) {
		text := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.Trim(argument(v.Index(i)), "'"))
		if text != "NULL" {
			text = `"` + text + `"`
		}
		all = append(all, text)
	}
	return "'{" + strings.Join(all, ", ") + "}'"
}

// quoted writes a text as a literal, in one line.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "'", "''") + "'"
}
