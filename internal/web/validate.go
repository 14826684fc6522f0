package web

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/text"
)

// validate is safe for concurrent use and caches what it learns of each struct, so there is one.
var validate = newValidator()

func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	// plain is a text that is shown or identifies, see package text.
	if err := v.RegisterValidation("plain", func(f validator.FieldLevel) bool { return text.Wrong(f.Field().String()) == "" }); err != nil {
		panic(err) // only an empty name can be refused
	}
	return v
}

// validateStruct applies the validate tags: 400 when something required is missing, else 422.
func validateStruct(v any) error {
	err := validate.Struct(v)
	var fields validator.ValidationErrors
	if !errors.As(err, &fields) {
		return err // nil, or a tag that cannot be applied: a defect
	}
	refusal := fault.Unprocessable("The request cannot be done as it stands.")
	for _, f := range fields {
		if strings.HasPrefix(f.Tag(), "required") {
			refusal.Status = http.StatusBadRequest
		}
		refusal.Lines = append(refusal.Lines, fault.Line{Field: withoutRoot(f.Namespace()), Detail: broken(f)})
	}
	return refusal
}

func withoutRoot(namespace string) string {
	_, path, _ := strings.Cut(namespace, ".")
	return path
}

// broken says what a tag asks for.
func broken(f validator.FieldError) string {
	unit := ""
	switch f.Kind() {
	case reflect.String:
		unit = " characters"
	case reflect.Slice:
		unit = " entries"
	}
	switch f.Tag() {
	case "required":
		return "required"
	case "min", "gte":
		return fmt.Sprintf("must be at least %s%s", f.Param(), unit)
	case "max", "lte":
		return fmt.Sprintf("must be at most %s%s", f.Param(), unit)
	case "gt":
		return fmt.Sprintf("must be more than %s%s", f.Param(), unit)
	case "len":
		return fmt.Sprintf("must be exactly %s%s", f.Param(), unit)
	case "plain":
		s, _ := f.Value().(string)
		return "must be " + text.Wrong(s)
	case "oneof":
		return "must be one of " + f.Param()
	default:
		return "does not satisfy " + strings.TrimSuffix(f.Tag()+"="+f.Param(), "=")
	}
}
