// Package s3 finds bundles in Amazon S3, and in stores that speak its protocol.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	transport "github.com/aws/smithy-go/transport/http"

	"flairstream/internal/web"
	"flairstream/model"
	"flairstream/model/registry"
)

// Folder is a prefix in a bucket, below which a bundle's files are.
type Folder struct {
	client         *s3.Client
	bucket, prefix string
	endpoint       string // empty: AWS's own
}

var _ registry.Registry = (*Folder)(nil)

// patience is how long the store may say nothing.
const patience = 30 * time.Second

// Form is what a place looks like.
const Form = "s3://BUCKET/PREFIX, with ?region=REGION and &endpoint=URL where needed"

// New takes a place of the Form. Credentials, and the region where the place has none, come from AWS's own variables, files
// and services. It asks nothing of the store.
func New(ctx context.Context, place string) (*Folder, error) {
	f, region, err := parse(place)
	if err != nil {
		return nil, err
	}
	load := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if region != "" {
		load = append(load, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("AWS's configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("no region: add ?region=REGION to the URL, or set AWS_REGION")
	}
	// Digests are checked when all is there; other stores than AWS know no checksums.
	cfg.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	f.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = web.Patient{Doer: o.HTTPClient, For: patience}
		if f.endpoint != "" {
			o.BaseEndpoint = aws.String(f.endpoint)
			o.UsePathStyle = true // such stores seldom have a host name for each bucket
		}
	})
	return f, nil
}

func parse(place string) (f *Folder, region string, err error) {
	wrong := fmt.Errorf("want %s", Form)
	u, err := url.Parse(place)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.Fragment != "" || u.Port() != "" {
		return nil, "", wrong
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, "", wrong
	}
	for name, values := range query {
		if name != "region" && name != "endpoint" || len(values) != 1 || values[0] == "" {
			return nil, "", fmt.Errorf("%w: the parameter %q is unknown, empty or there twice", wrong, name)
		}
	}
	endpoint := query.Get("endpoint")
	if e, err := url.Parse(endpoint); endpoint != "" && (err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil) {
		return nil, "", fmt.Errorf("%w: the endpoint is no http:// or https:// URL without a user", wrong)
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &Folder{bucket: u.Host, prefix: prefix, endpoint: endpoint}, query.Get("region"), nil
}

// Place names the bucket and prefix, and the endpoint where it is not AWS's.
func (f *Folder) Place() string {
	place := "s3://" + f.bucket + "/" + f.prefix
	if f.endpoint != "" {
		place += " at " + f.endpoint
	}
	return place
}

// Resolve looks whether there is a bundle. A folder has no versions. What is absent may be on its way, when an upload replaces
// it: its errors are never ErrNotFound.
func (f *Folder) Resolve(ctx context.Context) (registry.Version, error) {
	manifest, err := f.Open(ctx, registry.Version{}, model.ManifestFile, 0) // HEAD would not say what is missing
	if err != nil {
		return registry.Version{}, err
	}
	return registry.Version{}, manifest.Close()
}

func (f *Folder) key(file string) *string { return aws.String(f.prefix + file) }

// Open opens a file of the bundle.
func (f *Folder) Open(ctx context.Context, _ registry.Version, file string, offset int64) (io.ReadCloser, error) {
	in := &s3.GetObjectInput{Bucket: &f.bucket, Key: f.key(file)}
	if offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := f.client.GetObject(ctx, in)
	if status, _ := answered(err); status == http.StatusRequestedRangeNotSatisfiable && offset > 0 {
		return http.NoBody, nil
	}
	if err != nil {
		return nil, f.explain(err)
	}
	if want := fmt.Sprintf("bytes %d-", offset); offset > 0 && !strings.HasPrefix(aws.ToString(out.ContentRange), want) {
		out.Body.Close()
		return nil, fmt.Errorf("asked for the bytes from %d on, got the range %q", offset, aws.ToString(out.ContentRange))
	}
	return out.Body, nil
}

// answered is what the store answered: the status, 0 where there was no answer, and its name of the error, empty where it
// gave none.
func answered(err error) (status int, code string) {
	if response, ok := errors.AsType[*transport.ResponseError](err); ok {
		status = response.HTTPStatusCode()
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	return status, code
}

// explain makes one line of an error of the SDK, with the remedy.
func (f *Folder) explain(err error) error {
	status, code := answered(err)
	switch {
	case code == "ExpiredToken":
		return fmt.Errorf("S3 answers %d: the AWS session has expired: log in again, or give this task a role", status)
	case code == "SlowDown", status == http.StatusServiceUnavailable:
		return fmt.Errorf("S3 answers %d %s: it is asked too much at this time: try again in some minutes", status, code)
	case code == "NoSuchBucket":
		return fmt.Errorf("S3 answers %d: there is no bucket %s: check its name", status, f.bucket)
	case status == http.StatusNotFound:
		return fmt.Errorf("S3 answers %d: %s lacks it: check the prefix, or upload the bundle again", status, f.Place())
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return fmt.Errorf("S3 answers %d: these AWS credentials may not read it (s3:GetObject; without s3:ListBucket, "+
			"what is absent is forbidden too): check them, and the bucket's name", status)
	case status == http.StatusMovedPermanently, status == http.StatusBadRequest && code == "AuthorizationHeaderMalformed":
		return errors.New("S3 answers that the bucket is in another region: name it with ?region=REGION")
	case status == 0 && strings.Contains(err.Error(), "get credentials"):
		return errors.New("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this task a role")
	case status != 0:
		return fmt.Errorf("S3 answers %d %s: see AWS's list of S3's error codes", status, code)
	}
	if unsent, ok := errors.AsType[*transport.RequestSendError](err); ok {
		return fmt.Errorf("S3 does not answer: %w: check the region, the endpoint, and the way there", unsent.Err)
	}
	return fmt.Errorf("S3: %w", err)
}
