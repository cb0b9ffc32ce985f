package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script answers the nth request with its nth step.
type script struct {
	steps []step
	at    []time.Time
	sent  []string // bodies
}

type step func(*http.Request) (*http.Response, error)

func (s *script) RoundTrip(request *http.Request) (*http.Response, error) {
	if len(s.at) == len(s.steps) {
		return nil, errors.New("one request too many")
	}
	next := s.steps[len(s.at)]
	s.at = append(s.at, time.Now())
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		s.sent = append(s.sent, string(body))
	}
	return next(request)
}

func answer(code int, header ...string) step {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}
}

func cut(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

func silent(request *http.Request) (*http.Response, error) {
	<-request.Context().Done()
	return nil, request.Context().Err()
}

const place = "https://models.example/file?signature=canary"

func get(t *testing.T) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, place, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// What fails for a moment is asked again; what is an answer, is one.
func TestAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		steps []step
		fails string // "": it does not
	}{
		"at once":                {[]step{answer(200)}, ""},
		"a bad moment":           {[]step{answer(500), answer(502), cut, answer(200)}, ""},
		"too many":               {[]step{answer(503), answer(503), answer(503), answer(503), answer(503)}, "503 Service Unavailable (tried 5 times)"},
		"not found":              {[]step{answer(404)}, "404 Not Found"},
		"a redirect to no URL":   {[]step{answer(302, "Location", "http://[::1/?canary")}, "it leads to no http:// or https:// URL"},
		"to another protocol":    {[]step{answer(307, "Location", "ftp://canary/")}, "it leads to no http:// or https:// URL"},
		"round and round":        {slices.Repeat([]step{answer(301, "Location", place)}, 10), "it is the 10th in a row"},
		"unauthorized":           {[]step{answer(401)}, "401 Unauthorized"},
		"silent, then there":     {[]step{silent, answer(200)}, ""},
		"told to wait too long":  {[]step{answer(429, "Retry-After", "3600")}, "429 Too Many Requests"},
		"told to wait, and away": {[]step{answer(429, "Retry-After", "7"), cut, cut, cut, cut}, "unexpected EOF (tried 5 times)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{steps: c.steps}
				response, err := New(Options{Transport: s}).Do(get(t))
				if err == nil {
					response.Body.Close()
				}
				if len(s.at) != len(c.steps) {
					t.Errorf("%d requests, want %d", len(s.at), len(c.steps))
				}
				if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
					t.Errorf("error %v, want %q", err, c.fails)
				}
				if err != nil && (strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "GET https://models.example/file")) {
					t.Errorf("error %v: want the place without its query", err)
				}
			})
		})
	}
}

// The server's word on when to come back holds; without one the pauses grow.
func TestPauses(t *testing.T) {
	for name, c := range map[string]struct {
		first       step
		least, most time.Duration
	}{
		"its own":               {answer(503), firstPause / 2, firstPause},
		"seconds":               {answer(503, "Retry-After", "7"), 7 * time.Second, 7 * time.Second},
		"a date":                {answer(429, "Retry-After", "Sat, 01 Jan 2000 00:00:09 GMT"), 9 * time.Second, 9 * time.Second},
		"the limit's reset":     {answer(429, "RateLimit-Reset", "11"), 11 * time.Second, 11 * time.Second},
		"a reset, not its time": {answer(503, "RateLimit-Reset", "11"), firstPause / 2, firstPause},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the bubble's clock begins at 2000-01-01
				s := &script{steps: []step{c.first, answer(200)}}
				response, err := New(Options{Transport: s}).Do(get(t))
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if pause := s.at[1].Sub(s.at[0]); pause < c.least || pause > c.most {
					t.Errorf("came back after %s, want %s to %s", pause, c.least, c.most)
				}
			})
		})
	}
}

func TestBodyIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{answer(500), answer(200)}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, place, strings.NewReader("query"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := New(Options{Transport: s}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if fmt.Sprint(s.sent) != "[query query]" {
			t.Errorf("sent %q", s.sent)
		}
	})
}

// A cancelled context ends the pause between two attempts.
func TestCancelWhilePausing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		s := &script{steps: []step{answer(503, "Retry-After", "50")}}
		_, err := New(Options{Transport: s}).Do(get(t).WithContext(ctx))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
}

// A body that stops coming ends with an error, however long it took until then.
func TestSilentBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		defer writer.Close()
		s := &script{steps: []step{func(request *http.Request) (*http.Response, error) {
			context.AfterFunc(request.Context(), func() { writer.CloseWithError(request.Context().Err()) })
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: reader}, nil
		}}}
		go func() {
			for range 10 {
				time.Sleep(20 * time.Second)
				_, _ = writer.Write([]byte("x"))
			}
		}()
		response, err := New(Options{Transport: s}).Do(get(t))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		data, err := io.ReadAll(response.Body)
		if len(data) != 10 || !errors.Is(err, errSilent) {
			t.Errorf("%d bytes and error %v, want 10 and %v", len(data), err, errSilent)
		}
	})
}

// Credentials do not follow a redirect to another server, be it another port of the same host; nor does a signed URL, as
// Referer.
func TestRedirectsLoseCredentials(t *testing.T) {
	var got []string
	store := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization")+r.Header.Get("Referer"))
	}))
	defer store.Close()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, store.URL, http.StatusFound)
	}))
	defer api.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"?signature=canary", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("api", "canary")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := New(Options{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if fmt.Sprintf("%q", got) != `[""]` {
		t.Errorf("the second server was sent %q", got)
	}
}

func TestOpen(t *testing.T) {
	const content = "0123456789"
	whole := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(content))}, nil
	}
	ranged := func(begin int, told string) step {
		return func(r *http.Request) (*http.Response, error) {
			if want := fmt.Sprintf("bytes=%d-", begin); r.Header.Get("Range") != want {
				return nil, fmt.Errorf("range %q, want %q", r.Header.Get("Range"), want)
			}
			return &http.Response{
				StatusCode: 206, Header: http.Header{"Content-Range": {told}}, Body: io.NopCloser(strings.NewReader(content[begin:])),
			}, nil
		}
	}
	for name, c := range map[string]struct {
		step   step
		offset int64
		want   string
		fails  bool
	}{
		"whole":           {whole, 0, content, false},
		"from 4":          {ranged(4, "bytes 4-9/10"), 4, "456789", false},
		"no ranges known": {whole, 4, "456789", false},
		"another range":   {ranged(4, "bytes 5-9/10"), 4, "", true},
		"from its end":    {answer(416), 10, "", false},
		"beyond its end":  {whole, 11, "", false},
		"no part of it":   {answer(416), 0, "", true},
		"no content":      {answer(204), 4, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := New(Options{Transport: &script{steps: []step{c.step}}}).Open(get(t), c.offset)
			if (err != nil) != c.fails {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || string(got) != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// That the beginning is read over where a server knows no ranges, and this is cut, is an error of the body's.
func TestOpenIsCutBeforeTheOffset(t *testing.T) {
	cut := func(*http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader("012"), iotest.ErrReader(io.ErrUnexpectedEOF))
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body)}, nil
	}
	body, err := New(Options{Transport: &script{steps: []step{cut}}}).Open(get(t), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); len(got) != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v", got, err)
	}
}

// An answer that is cut is asked for again; one that is no JSON is not.
func TestJSON(t *testing.T) {
	says := func(body io.Reader) step {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body)}, nil
		}
	}
	cut := says(io.MultiReader(strings.NewReader(`{"a`), iotest.ErrReader(io.ErrUnexpectedEOF)))
	synctest.Test(t, func(t *testing.T) {
		var into struct{ A int }
		err := New(Options{Transport: &script{steps: []step{cut, says(strings.NewReader(`{"a": 7}`))}}}).JSON(get(t), &into)
		if err != nil || into.A != 7 {
			t.Errorf("got %d, %v", into.A, err)
		}
		for _, text := range []string{"<html>log in</html>", "", `{"a": "b"}`} {
			err := New(Options{Transport: &script{steps: []step{says(strings.NewReader(text))}}}).JSON(get(t), &into)
			if !errors.Is(err, ErrForm) {
				t.Errorf("%q: error %v, want %v", text, err, ErrForm)
			}
		}
	})
}

func TestJSONIsBounded(t *testing.T) {
	huge := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(endless{})}, nil
	}
	var into any
	err := New(Options{Transport: &script{steps: []step{huge}}}).JSON(get(t), &into)
	if err == nil || !strings.Contains(err.Error(), "more than 8388608 bytes") {
		t.Errorf("error %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Whatever a server asks for is a pause of no or some length.
func FuzzAskedPause(f *testing.F) {
	for _, seed := range []string{"7", "-1", "1e308", "NaN", "Sat, 01 Jan 2000 00:00:09 GMT", ""} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, after, reset string) {
		header := http.Header{"Retry-After": {after}, "Ratelimit-Reset": {reset}}
		if pause := askedPause(header, 429, time.Unix(0, 0)); pause < 0 {
			t.Errorf("%q and %q: %s", after, reset, pause)
		}
	})
}
