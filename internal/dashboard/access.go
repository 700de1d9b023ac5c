package dashboard

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	// cookieName is of the cookie that stands for the token in a browser.
	cookieName = "fulfillment_worker_page"

	longestBody = 64 << 10
	bodyMay     = 10 * time.Second // take to arrive
)

// What those are told who may not.
const (
	howToSet   = "set DASHBOARD_TOKEN (16 characters or more) for the workers: without it the page can only be read, and only from the machine that the worker runs on"
	needsToken = "this needs the token that the workers have as DASHBOARD_TOKEN"
)

// reading lets those through who may look.
func (p *Page) reading(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.mayRead(r) {
			p.turnAway(w)
			return
		}
		next(w, r)
	})
}

// acting lets those through who may change something.
func (p *Page) acting(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.hasToken(r) {
			p.turnAway(w)
			return
		}
		next(w, r)
	})
}

func (p *Page) turnAway(w http.ResponseWriter) {
	if p.Token == "" {
		refuse(w, http.StatusForbidden, howToSet)
		return
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	refuse(w, http.StatusUnauthorized, needsToken)
}

func (p *Page) mayRead(r *http.Request) bool { return isLocal(r) || p.hasToken(r) }

// isLocal reports whether somebody on this machine asks, and knows whom: a page of anybody's
// can give its own name the address 127.0.0.1, but not make the browser ask for localhost. What a
// proxy passes on may come from anywhere.
func isLocal(r *http.Request) bool {
	for _, passedOn := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(passedOn) != "" {
			return false
		}
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback() && isLoopbackName(r.Host)
}

func isLoopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// hasToken reports whether the request brings the token, or the cookie that stands for it.
func (p *Page) hasToken(r *http.Request) bool {
	if p.Token == "" {
		return false
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return p.isToken(token)
	}
	cookie, err := r.Cookie(cookieName)
	return err == nil && subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(p.cookie())) == 1
}

// isToken takes the same time for every wrong token, whatever its length.
func (p *Page) isToken(token string) bool {
	given, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(p.Token))
	return p.Token != "" && subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// cookie is made of the token, so that every worker knows it and nobody can tell the token
// from it.
func (p *Page) cookie() string {
	mac := hmac.New(sha256.New, []byte(p.Token))
	mac.Write([]byte("live page"))
	return hex.EncodeToString(mac.Sum(nil))
}

// session says what whoever asks may do.
func (p *Page) session(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{"reading": p.mayRead(r), "acting": p.hasToken(r), "token_set": p.Token != ""}
	if p.Token == "" {
		answer["how"] = howToSet
	}
	tell(w, http.StatusOK, answer)
}

// signIn takes the token for a cookie.
func (p *Page) signIn(w http.ResponseWriter, r *http.Request) {
	var body struct{ Token string }
	if !read(w, r, &body) {
		return
	}
	if !p.isToken(body.Token) {
		if p.Token != "" {
			p.Log.WarnContext(r.Context(), "somebody gave the live page a wrong token", "remote", r.RemoteAddr)
		}
		p.turnAway(w)
		return
	}
	p.setCookie(w, r, p.cookie(), 0)
	w.WriteHeader(http.StatusNoContent)
}

func (p *Page) signOut(w http.ResponseWriter, r *http.Request) {
	p.setCookie(w, r, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

func (p *Page) setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, MaxAge: maxAge, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

// read reads a request's JSON, or answers that it is none.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyMay)) // a test's recorder has none
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, longestBody))
	if err := body.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "not the JSON that belongs here")
		return false
	}
	return true
}
