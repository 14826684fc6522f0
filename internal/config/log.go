package config

import (
	"log/slog"
	"net/url"
	"reflect"
	"strings"
)

// LogValue shows every setting by its flag's name, without secrets: keys are hidden, and so are passwords in URLs.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	collect(reflect.ValueOf(c), &attrs)
	return slog.GroupValue(attrs...)
}

func collect(v reflect.Value, attrs *[]slog.Attr) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			collect(v.Field(i), attrs)
			continue
		}
		*attrs = append(*attrs, slog.Any(field.Name, shown(field.Name, v.Field(i))))
	}
}

func shown(name string, v reflect.Value) any {
	s, text := v.Interface().(string)
	if !text || s == "" {
		return v.Interface()
	}
	if strings.HasSuffix(name, "Secret") || strings.HasSuffix(name, "Key") {
		return "hidden"
	}
	if strings.HasSuffix(name, "URL") {
		return withoutPasswords(s)
	}
	return s
}

func withoutPasswords(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		u, err := url.Parse(part)
		if err != nil {
			parts[i] = "unreadable"
			continue
		}
		parts[i] = u.Redacted()
	}
	return strings.Join(parts, ",")
}
