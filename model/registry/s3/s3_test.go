package s3

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"flairstream/internal/modeltest"
	"flairstream/internal/pyserver"
	"flairstream/model"
	"flairstream/model/registry"
)

// withCredentials sets those that an emulator takes, and keeps this machine's own out.
func withCredentials(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "canary", "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "",
		"AWS_DEFAULT_REGION": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
	} {
		t.Setenv(name, value)
	}
}

func open(t *testing.T, place string) *Folder {
	t.Helper()
	f, err := New(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func fetch(t *testing.T, f *Folder) (registry.Fetched, error) {
	t.Helper()
	v, err := registry.Resolve(t.Context(), f)
	if err != nil {
		return registry.Fetched{}, err
	}
	return registry.Fetch(t.Context(), f, v, filepath.Join(t.TempDir(), "bundle"), nil)
}

// upload makes the bucket and puts the bundle's files below the prefix.
func upload(t *testing.T, f *Folder, dir string) {
	t.Helper()
	if _, err := f.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &f.bucket}); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &f.bucket, Key: f.key(file.Name()), Body: bytes.NewReader(data),
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// A bundle comes back whole from a server that plays S3, be the connection cut in the middle of a file.
func TestServer(t *testing.T) {
	dir := modeltest.SmallBundle(t)
	bundle, err := model.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	moto := pyserver.Moto(t) // in the environment as it is: empty AWS variables upset it
	withCredentials(t)
	upload(t, open(t, "s3://models/support/7?region=us-east-1&endpoint="+moto), dir)

	t.Run("whole", func(t *testing.T) {
		got, err := fetch(t, open(t, "s3://models/support/7/?region=us-east-1&endpoint="+moto))
		if err != nil || got.Bundle.Digest != bundle.Digest || got.Bytes == 0 {
			t.Errorf("fetched %d bytes, %v", got.Bytes, err)
		}
	})
	t.Run("cut", func(t *testing.T) {
		proxy := newCutting(t, moto, "golden.jsonl", 1000)
		got, err := fetch(t, open(t, "s3://models/support/7?region=us-east-1&endpoint="+proxy.URL))
		if err != nil || got.Bundle.Digest != bundle.Digest {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff([]string{"", "bytes=1000-"}, proxy.ranges); diff != "" {
			t.Errorf("ranges asked for (-want +got):\n%s", diff)
		}
	})
	t.Run("no more", func(t *testing.T) {
		info, err := os.Stat(filepath.Join(dir, model.ManifestFile))
		if err != nil {
			t.Fatal(err)
		}
		f := open(t, "s3://models/support/7?region=us-east-1&endpoint="+moto)
		body, err := f.Open(t.Context(), registry.Version{}, model.ManifestFile, info.Size())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); len(got) > 0 || err != nil {
			t.Errorf("%d bytes after the end, %v", len(got), err)
		}
	})
	for name, c := range map[string]struct{ place, want string }{
		"no bucket": {"s3://other/support/7", "there is no bucket other"},
		"no prefix": {"s3://models/support/8", "s3://models/support/8/ at " + moto + " lacks it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fetch(t, open(t, c.place+"?region=us-east-1&endpoint="+moto))
			if err == nil || errors.Is(err, registry.ErrNotFound) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// cutting is a proxy that cuts the first transfer of a file.
type cutting struct {
	*httptest.Server
	ranges []string // that were asked for
}

func newCutting(t *testing.T, to, file string, after int) *cutting {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	c, proxy := &cutting{}, httputil.NewSingleHostReverseProxy(target)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/"+file) {
			proxy.ServeHTTP(w, r)
			return
		}
		c.ranges = append(c.ranges, r.Header.Get("Range"))
		if len(c.ranges) > 1 {
			proxy.ServeHTTP(w, r)
			return
		}
		recorder := httptest.NewRecorder()
		proxy.ServeHTTP(recorder, r)
		w.Header().Set("Content-Length", strconv.Itoa(recorder.Body.Len()))
		_, _ = w.Write(recorder.Body.Bytes()[:after])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(c.Close)
	return c
}

// Each refusal is one line with the remedy, and tells no secret.
func TestErrors(t *testing.T) {
	withCredentials(t)
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	for name, c := range map[string]struct {
		code int // 0: the connection is cut
		body string
		want string
	}{
		"credentials":    {403, "", "these AWS credentials may not read it"},
		"another region": {301, "", "the bucket is in another region"},
		"gone":           {404, "", "lacks it"},
		"expired":        {400, "<Error><Code>ExpiredToken</Code></Error>", "S3 answers 400: the AWS session has expired: log in again"},
		"too much":       {503, "<Error><Code>SlowDown</Code></Error>", "S3 answers 503 SlowDown: it is asked too much"},
		"unavailable":    {503, "", "S3 answers 503"},
		"broken":         {500, "<Error><Code>InternalError</Code></Error>", "S3 answers 500 InternalError"},
		"cut":            {0, "", "S3 does not answer: EOF: check the region, the endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.code == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(c.code)
				_, _ = w.Write([]byte(c.body))
			}))
			defer server.Close()
			_, err := open(t, "s3://models/support?region=us-east-1&endpoint="+server.URL).Resolve(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			for _, not := range []string{"\n", "canary", "RequestID", "operation error"} {
				if strings.Contains(err.Error(), not) {
					t.Errorf("error %v has %q", err, not)
				}
			}
		})
	}
}

func TestNoCredentials(t *testing.T) {
	withCredentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := open(t, "s3://models/support?region=us-east-1&endpoint=http://127.0.0.1:1").Resolve(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "no AWS credentials: set AWS_ACCESS_KEY_ID") {
		t.Errorf("error %v", err)
	}
}

func TestPlaces(t *testing.T) {
	withCredentials(t)
	for place, want := range map[string]string{
		"s3://bucket/a/b":                           "no region: add ?region=REGION",
		"s3:///a":                                   Form,
		"s3://key:canary@bucket/a?region=r":         Form,
		"s3://bucket/a?region=":                     "region",
		"s3://bucket/a?region=r&region=s":           "region",
		"s3://bucket/a?secret=canary&region=r":      `"secret" is unknown`,
		"s3://bucket/a?region=r&endpoint=localhost": "the endpoint is no http:// or https:// URL",
	} {
		if _, err := New(t.Context(), place); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v, want %q", place, err, want)
		}
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	for place, key := range map[string]string{"s3://bucket": "f", "s3://bucket/": "f", "s3://bucket/a/b/": "a/b/f"} {
		if f := open(t, place); aws.ToString(f.key("f")) != key || f.bucket != "bucket" {
			t.Errorf("%s: bucket %s, key %s; want %s", place, f.bucket, aws.ToString(f.key("f")), key)
		}
	}
}

// Whatever is taken for a place has a bucket.
func FuzzParse(f *testing.F) {
	f.Add("s3://bucket/a?region=r&endpoint=http://localhost:1")
	f.Fuzz(func(t *testing.T, place string) {
		if got, _, err := parse(place); err == nil && (got.bucket == "" || strings.HasPrefix(got.prefix, "/")) {
			t.Errorf("%q: %+v", place, got)
		}
	})
}
