package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/text"
)

// Issuer is the iss and the aud of every token that is accepted or issued.
const Issuer = "holdfast"

// MaxSubject is the longest subject of a token, in characters.
const MaxSubject = 128

// leeway is how far clocks may differ.
const leeway = 30 * time.Second

// AdminScope is the word in a token's scope that makes its bearer an operator.
const AdminScope = "admin"

// Auth checks tokens with keys of exactly one kind, so that a public key can never be taken for a secret.
type Auth struct {
	parser *jwt.Parser
	key    jwt.Keyfunc
	keySet *keySet // nil with a secret
}

// NewAuth accepts HS256 tokens signed with secret or, when jwks is given, RS256 and ES256 tokens signed with one of the keys
// of that JWK Set: a URL, or the path of a file. One of the two must be given, and not both.
func NewAuth(secret []byte, jwks string) (*Auth, error) {
	switch {
	case len(secret) > 0 && jwks != "":
		return nil, errors.New("authentication: give a JWT secret or a JWKS, not both")
	case len(secret) > 0:
		key := func(*jwt.Token) (any, error) { return secret, nil }
		return &Auth{parser: newParser("HS256"), key: strictHeader(key)}, nil
	case jwks != "":
		keys := newKeySet(jwks)
		return &Auth{parser: newParser("RS256", "ES256"), key: strictHeader(keys.key), keySet: keys}, nil
	default:
		return nil, errors.New("authentication: give a JWT secret or a JWKS")
	}
}

func newParser(algorithms ...string) *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithExpirationRequired(), jwt.WithIssuer(Issuer),
		jwt.WithAudience(Issuer), jwt.WithLeeway(leeway), jwt.WithStrictDecoding(), jwt.WithTimeFunc(clock.Now))
}

// run keeps the JWK Set fresh until ctx ends. With a secret there is nothing to do.
func (a *Auth) run(ctx context.Context, log *slog.Logger) {
	if a.keySet != nil {
		a.keySet.run(ctx, log)
	}
}

// claims are what we read of a token.
type claims struct {
	jwt.RegisteredClaims
	Scope scope `json:"scope,omitempty"`
}

// UnmarshalJSON reads claims as bodies are read: a name counts in its exact spelling only, and once. The standard library would let
// "SUB" after "sub" win, and so would decide between two readers of one token.
func (c *claims) UnmarshalJSON(body []byte) error {
	type plain claims
	return strictjson.Unmarshal(body, (*plain)(c))
}

// errHeader is a token whose header cannot be relied on.
var errHeader = errors.New("the header of the token has a name twice, or extensions that must be understood")

// strictHeader refuses, before a key is looked for, what RFC 7515 says must be: names that are there twice (section 4), and
// extensions listed in crit, none of which is understood here (4.1.11).
func strictHeader(key jwt.Keyfunc) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		head, _, _ := strings.Cut(token.Raw, ".")
		header, err := base64.RawURLEncoding.DecodeString(head)
		if _, critical := token.Header["crit"]; err != nil || critical || !jsontext.Value(header).IsValid() {
			return nil, errHeader
		}
		return key(token)
	}
}

// scope is written as words in a string (RFC 8693), by some issuers as an array.
type scope []string

func (s *scope) UnmarshalJSON(body []byte) error {
	var words string
	if json.Unmarshal(body, &words) == nil {
		*s = strings.Fields(words)
		return nil
	}
	return json.Unmarshal(body, (*[]string)(s))
}

func (s scope) MarshalJSON() ([]byte, error) { return json.Marshal(strings.Join(s, " ")) }

// caller reads a token.
func (a *Auth) caller(token string) (caller, error) {
	var cl claims
	if _, err := a.parser.ParseWithClaims(token, &cl, a.key); err != nil {
		return caller{}, err
	}
	if n := utf8.RuneCountInString(cl.Subject); n == 0 || n > MaxSubject || text.Wrong(cl.Subject) != "" {
		return caller{}, jwt.ErrTokenInvalidSubject
	}
	return caller{customer: cl.Subject, admin: slices.Contains(cl.Scope, AdminScope)}, nil
}

// required lets only valid tokens through, and only operators' when admin is set.
func (a *Auth) required(admin bool) (echo.MiddlewareFunc, error) {
	authenticate, err := echojwt.Config{
		ContextKey:     callerKey,
		ParseTokenFunc: func(_ echo.Context, token string) (any, error) { return a.caller(token) },
		ErrorHandler:   func(_ echo.Context, err error) error { return unauthorized(err) },
	}.ToMiddleware()
	if err != nil || !admin {
		return authenticate, err
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc { return authenticate(operatorsOnly(next)) }, nil
}

// ifThere lets requests without a token through, and others as the middleware does.
func ifThere(authenticate echo.MiddlewareFunc) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		with := authenticate(next)
		return func(c echo.Context) error {
			if len(c.Request().Header.Values(echo.HeaderAuthorization)) == 0 {
				return next(c)
			}
			return with(c)
		}
	}
}

func operatorsOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !IsAdmin(c) {
			return fault.New(fault.Forbidden, "This needs a token whose scope contains %s.", AdminScope)
		}
		return next(c)
	}
}

// unauthorized says no more than whether there was a token: why one is refused helps only those who forge them.
func unauthorized(err error) error {
	var refused *echojwt.TokenParsingError
	switch {
	case errors.Is(err, errNoKeys):
		return fault.New(fault.Unavailable, "The keys that tokens are checked with are not there yet.").Because(err)
	case errors.As(err, &refused):
		return fault.New(fault.Unauthorized, "The token is not valid.").Because(err)
	default:
		return fault.New(fault.Unauthorized, "Send Authorization: Bearer <JWT>.").Because(err)
	}
}
