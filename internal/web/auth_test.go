package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// good are the claims of a token that is accepted.
func good() jwt.MapClaims {
	return jwt.MapClaims{"sub": "ann", "iss": "holdfast", "aud": "holdfast", "exp": time.Now().Add(time.Minute).Unix()}
}

func with(name string, value any) jwt.MapClaims {
	c := good()
	c[name] = value
	return c
}

func without(name string) jwt.MapClaims {
	c := good()
	delete(c, name)
	return c
}

func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestTokensRefused(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	hs := func(c jwt.MapClaims, header ...string) string {
		return sign(t, jwt.SigningMethodHS256, secret, c, header...)
	}
	none := sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good())
	valid := hs(good())
	now := time.Now()
	for name, authorization := range map[string]string{
		"none at all":              "",
		"no scheme":                valid,
		"other scheme":             "Basic YW5uOmFubg==",
		"no token":                 "Bearer ",
		"garbage":                  "Bearer garbage",
		"dots":                     "Bearer " + strings.Repeat(".", 12000),
		"alg none":                 "Bearer " + none,
		"alg None":                 "Bearer " + strings.Replace(none, none[:strings.Index(none, ".")], base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"None","typ":"JWT"}`)), 1),
		"no signature":             "Bearer " + valid[:strings.LastIndex(valid, ".")+1],
		"other secret":             "Bearer " + sign(t, jwt.SigningMethodHS256, []byte("another secret of more than thirty-two bytes"), good()),
		"other claims":             "Bearer " + forged(valid, `"ann"`, `"bob"`),
		"HS384":                    "Bearer " + sign(t, jwt.SigningMethodHS384, secret, good()),
		"HS512":                    "Bearer " + sign(t, jwt.SigningMethodHS512, secret, good()),
		"expired":                  "Bearer " + hs(with("exp", now.Add(-2*time.Minute).Unix())),
		"not yet":                  "Bearer " + hs(with("nbf", now.Add(5*time.Minute).Unix())),
		"no exp":                   "Bearer " + hs(without("exp")),
		"exp as text":              "Bearer " + hs(with("exp", "tomorrow")),
		"exp null":                 "Bearer " + hs(with("exp", nil)),
		"no aud":                   "Bearer " + hs(without("aud")),
		"wrong aud":                "Bearer " + hs(with("aud", "elsewhere")),
		"no iss":                   "Bearer " + hs(without("iss")),
		"wrong iss":                "Bearer " + hs(with("iss", "elsewhere")),
		"no sub":                   "Bearer " + hs(without("sub")),
		"empty sub":                "Bearer " + hs(with("sub", "")),
		"long sub":                 "Bearer " + hs(with("sub", strings.Repeat("é", 129))),
		"zero character in it":     "Bearer " + hs(with("sub", "a\x00b")),
		"number for sub":           "Bearer " + hs(with("sub", 7)),
		"kid of a file is no help": "Bearer " + sign(t, jwt.SigningMethodHS256, []byte{}, good(), "kid", "../../../../dev/null"),
		"token in the query":       "?",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, header := "/api/v1/who", []string{"Authorization", authorization}
			if authorization == "?" {
				path, header = path+"?access_token="+valid+"&token="+valid, nil
			}
			a := r.do(http.MethodGet, path, "", header...)
			if p := a.problem(t); a.status != http.StatusUnauthorized || p.Type != "/problems/unauthorized" {
				t.Fatalf("answered %d %s", a.status, a.body)
			}
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
				t.Errorf("WWW-Authenticate is %q", got)
			}
		})
	}
}

// forged changes a token's claims and keeps its signature.
func forged(token, from, to string) string {
	parts := strings.Split(token, ".")
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(body), from, to, 1)))
	return strings.Join(parts, ".")
}

// written makes a token of a header and claims in exactly these words.
func written(header, claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, _ := jwt.SigningMethodHS256.Sign(text, secret) // fails for keys of another kind only
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestTokensAreReadStrictly(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	const header = `{"alg":"HS256","typ":"JWT"}`
	claims := func(more string) string {
		return fmt.Sprintf(`{"sub":"ann","iss":"holdfast","aud":"holdfast","exp":%d%s}`, time.Now().Add(time.Minute).Unix(), more)
	}
	for name, token := range map[string]string{
		"sub twice":          written(header, claims(`,"sub":"bob"`)),
		"scope twice":        written(header, claims(`,"scope":"read","scope":"admin"`)),
		"something behind":   written(header, claims("")+"{}"),
		"not UTF-8":          written(header, claims(`,"x":"`+"\xff"+`"`)),
		"critical extension": written(`{"alg":"HS256","typ":"JWT","crit":["exp"],"exp":1}`, claims("")),
		"no extension":       written(`{"alg":"HS256","crit":[]}`, claims("")),
		"unencoded payload":  written(`{"alg":"HS256","b64":false,"crit":["b64"]}`, claims("")),
		"alg twice":          written(`{"alg":"none","alg":"HS256"}`, claims("")),
	} {
		if a := r.do(http.MethodGet, "/api/v1/who", "", "Authorization", "Bearer "+token); a.status != http.StatusUnauthorized {
			t.Errorf("%s: answered %d %s", name, a.status, a.body)
		}
	}
	for name, more := range map[string]string{
		"SUB behind sub": `,"SUB":"bob","Sub":"eve"`, "Scope": `,"Scope":"admin","SCOPE":["admin"]`, "unknown": `,"x":{"y":[1]}`,
	} {
		a := r.do(http.MethodGet, "/api/v1/who", "", "Authorization", "Bearer "+written(header, claims(more)))
		var who struct {
			Customer string
			Admin    bool
		}
		if err := json.Unmarshal([]byte(a.body), &who); err != nil || a.status != http.StatusOK || who.Customer != "ann" || who.Admin {
			t.Errorf("%s: answered %d %s", name, a.status, a.body)
		}
	}
}

func TestTokensTaken(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for name, tc := range map[string]struct {
		claims   jwt.MapClaims
		customer string
		admin    bool
	}{
		"plain":                 {good(), "ann", false},
		"several audiences":     {with("aud", []string{"elsewhere", "holdfast"}), "ann", false},
		"within the leeway":     {with("exp", time.Now().Add(-10*time.Second).Unix()), "ann", false},
		"longest subject":       {with("sub", strings.Repeat("é", 128)), strings.Repeat("é", 128), false},
		"operator":              {with("scope", "read admin"), "ann", true},
		"operator in an array":  {with("scope", []string{"admin"}), "ann", true},
		"administrator is none": {with("scope", "administrator"), "ann", false},
		"admin claim is none":   {with("admin", true), "ann", false},
		"role is none":          {with("role", "admin"), "ann", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bearer := "Bearer " + sign(t, jwt.SigningMethodHS256, secret, tc.claims)
			a := r.do(http.MethodGet, "/api/v1/who", "", "Authorization", bearer)
			var got struct {
				Customer string `json:"customer"`
				Admin    bool   `json:"admin"`
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Customer != tc.customer || got.Admin != tc.admin {
				t.Errorf("answered %d %s", a.status, a.body)
			}
			want := http.StatusForbidden
			if tc.admin {
				want = http.StatusOK
			}
			if a := r.do(http.MethodGet, "/api/v1/admin/who", "", "Authorization", bearer); a.status != want {
				t.Errorf("the operators' part answered %d %s, want %d", a.status, a.body, want)
			}
		})
	}
}

func TestIssuedTokens(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for admin, want := range map[bool]int{false: http.StatusForbidden, true: http.StatusOK} {
		if a := r.do(http.MethodGet, "/api/v1/admin/who", "", "Authorization", r.token("ann", admin)); a.status != want {
			t.Errorf("admin=%v answered %d %s", admin, a.status, a.body)
		}
	}
	if a := r.do(http.MethodGet, "/api/v1/nobody", "", "Authorization", "Bearer garbage"); a.status != http.StatusOK {
		t.Errorf("a public route minds the token: %d %s", a.status, a.body)
	}
}

func TestAuthNeedsOneKindOfKey(t *testing.T) {
	t.Parallel()
	if _, err := web.NewAuth(nil, ""); err == nil {
		t.Error("neither secret nor JWKS was taken")
	}
	if _, err := web.NewAuth(secret, "keys.json"); err == nil {
		t.Error("both secret and JWKS were taken")
	}
}

// keys are the private sides of a JWK Set.
type keys struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

func newKeys(t *testing.T) keys {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keys{r, e}
}

func (k keys) set() []byte {
	b64 := base64.RawURLEncoding.EncodeToString
	size := make([]byte, 32)
	body, _ := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "kid": "r1", "alg": "RS256", "use": "sig", "n": b64(k.rsa.N.Bytes()), "e": b64(big.NewInt(int64(k.rsa.E)).Bytes())},
		{"kty": "EC", "kid": "e1", "alg": "ES256", "use": "sig", "crv": "P-256", "x": b64(k.ec.X.FillBytes(size)), "y": b64(k.ec.Y.FillBytes(make([]byte, 32)))},
		{"kty": "oct", "kid": "o1", "alg": "HS256", "k": b64(secret)},
	}})
	return body
}

func TestKeySet(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	public, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, k.set(), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(o *web.Options) { o.Auth = keySetAuth(t, file) })
	testkit.Eventually(t, 20*time.Second, func() bool { return r.do(http.MethodGet, "/readyz", "").status == http.StatusOK })
	for name, tc := range map[string]struct {
		token  string
		status int
	}{
		"RS256":                        {sign(t, jwt.SigningMethodRS256, k.rsa, good(), "kid", "r1"), 200},
		"ES256":                        {sign(t, jwt.SigningMethodES256, k.ec, good(), "kid", "e1"), 200},
		"RS256 without kid":            {sign(t, jwt.SigningMethodRS256, k.rsa, good()), 200},
		"PS256":                        {sign(t, jwt.SigningMethodPS256, k.rsa, good(), "kid", "r1"), 401},
		"RS512":                        {sign(t, jwt.SigningMethodRS512, k.rsa, good(), "kid", "r1"), 401},
		"HS256 with the set's secret":  {sign(t, jwt.SigningMethodHS256, secret, good(), "kid", "o1"), 401},
		"HS256 with the public key":    {sign(t, jwt.SigningMethodHS256, publicPEM, good(), "kid", "r1"), 401},
		"HS256 with the key's modulus": {sign(t, jwt.SigningMethodHS256, k.rsa.N.Bytes(), good(), "kid", "r1"), 401},
		"none":                         {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good(), "kid", "r1"), 401},
		"other kid":                    {sign(t, jwt.SigningMethodRS256, k.rsa, good(), "kid", "e1"), 401},
		"unknown kid":                  {sign(t, jwt.SigningMethodRS256, k.rsa, good(), "kid", "r2"), 401},
		"kid is a path":                {sign(t, jwt.SigningMethodRS256, k.rsa, good(), "kid", "../keys.json"), 401},
		"expired":                      {sign(t, jwt.SigningMethodRS256, k.rsa, with("exp", 1), "kid", "r1"), 401},
		"somebody else's key":          {sign(t, jwt.SigningMethodRS256, newKeys(t).rsa, good(), "kid", "r1"), 401},
	} {
		if a := r.do(http.MethodGet, "/api/v1/who", "", "Authorization", "Bearer "+tc.token); a.status != tc.status {
			t.Errorf("%s answered %d %s", name, a.status, a.body)
		}
	}
}

func keySetAuth(t *testing.T, source string) *web.Auth {
	t.Helper()
	auth, err := web.NewAuth(nil, source)
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

// Until a JWK Set was read nobody can be told from anybody: 503, and not ready.
func TestKeySetFromURL(t *testing.T) {
	t.Parallel()
	k, open := newKeys(t), make(chan struct{})
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-open:
			_, _ = w.Write(k.set())
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(source.Close)
	r := start(t, func(o *web.Options) { o.Auth = keySetAuth(t, source.URL) })
	bearer := "Bearer " + sign(t, jwt.SigningMethodES256, k.ec, good(), "kid", "e1")
	if a := r.do(http.MethodGet, "/api/v1/who", "", "Authorization", bearer); a.status != http.StatusServiceUnavailable {
		t.Errorf("without keys answered %d %s", a.status, a.body)
	}
	if a := r.do(http.MethodGet, "/readyz", ""); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "jwks") {
		t.Errorf("without keys /readyz answered %d %s", a.status, a.body)
	}
	close(open)
	testkit.Eventually(t, 20*time.Second, func() bool {
		return r.do(http.MethodGet, "/api/v1/who", "", "Authorization", bearer).status == http.StatusOK
	})
}
