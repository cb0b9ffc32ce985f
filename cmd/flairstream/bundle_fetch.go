package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"flairstream/model/registry"
	"flairstream/model/registry/open"
)

func newBundleFetchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fetch URL DIR",
		Short: "Bring a bundle from a registry into a folder",
		Long: `Asks the registry which version is meant, brings its files into a folder beside DIR,
checks size and SHA-256 of each, and the model's digest against the one recorded when
it was registered; then the folder is named DIR. Whatever fails, DIR is as it was:
never half a bundle. Where DIR holds that bundle already, nothing is transferred; where
it holds another one, that is replaced; where it holds anything else, or a file that its
bundle.json does not list, fetch refuses.

URL is one of

  mlflow://models/NAME@ALIAS        the version with that alias in MLflow's registry
  mlflow://models/NAME/VERSION      that version
  wandb://ORG/REGISTRY/NAME:ALIAS   in the registry of the organization, in W&B; or :vN
  s3://BUCKET/PREFIX                a folder in S3; ?region=REGION, &endpoint=URL
  file:///PATH or PATH              a folder

Servers and credentials come from the registries' own variables:

  MLFLOW_TRACKING_URI       the server, as in https://mlflow.example
  MLFLOW_TRACKING_TOKEN     a bearer token; or MLFLOW_TRACKING_USERNAME and _PASSWORD
  WANDB_API_KEY             else the key that wandb login left in ~/.netrc, or NETRC
  WANDB_BASE_URL            a server of your own
  AWS_*                     as for AWS's own tools: keys, profiles, roles

Each secret may be in a file, whose path is in the variable with _FILE behind its name:
MLFLOW_TRACKING_TOKEN_FILE, MLFLOW_TRACKING_PASSWORD_FILE, WANDB_API_KEY_FILE.

A worker takes the same URLs in FLAIRSTREAM_MODEL. To prove a bundle on this machine:
flairstream bundle verify.`,
		Example: `  MLFLOW_TRACKING_URI=http://127.0.0.1:5000 flairstream bundle fetch mlflow://models/support@champion support`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("want a URL and a folder: bundle fetch URL DIR; %w", errUsage)
			}
			if args[1] == "" {
				return fmt.Errorf("DIR is empty: want a folder; %w", errUsage)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return fetchBundle(c, args[0], args[1]) },
	}
}

func fetchBundle(c *cobra.Command, place, dir string) error {
	from, err := open.Model(c.Context(), place, os.Getenv)
	if err != nil {
		return fmt.Errorf("the URL: %w; %w", err, errUsage)
	}
	version, err := registry.Resolve(c.Context(), from)
	if err != nil {
		return err
	}
	start := time.Now()
	progress, finish := showTransfer(os.Stderr)
	fetched, err := registry.Fetch(c.Context(), from, version, dir, progress)
	finish()
	if err != nil {
		return err
	}
	return writeFetched(c.OutOrStdout(), from.Place(), fetched, time.Since(start))
}

// showTransfer draws a bar on a terminal, and nothing elsewhere.
func showTransfer(w *os.File) (progress registry.Progress, finish func()) {
	if !term.IsTerminal(int(w.Fd())) {
		return nil, func() {}
	}
	var bar *progressbar.ProgressBar
	progress = func(done, total int64) {
		if bar == nil {
			bar = progressbar.NewOptions64(total,
				progressbar.OptionSetWriter(w),
				progressbar.OptionSetDescription("fetching"),
				progressbar.OptionSetWidth(30),
				progressbar.OptionShowBytes(true),
				progressbar.OptionSetPredictTime(true),
				progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionClearOnFinish(),
			)
		}
		_ = bar.Set64(done)
	}
	return progress, func() {
		if bar != nil {
			_ = bar.Clear()
		}
	}
}

// writeFetched says what was fetched, a row each; those that the registry does not know are left out.
func writeFetched(w io.Writer, place string, f registry.Fetched, took time.Duration) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(out, "%s\t%s\n", name, value)
		}
	}
	v := f.Version
	row("bundle", f.Bundle.Manifest.Name+" "+f.Bundle.Manifest.Version)
	row("digest", f.Bundle.Digest)
	row("from", place)
	if v.Version != "" {
		row("registered", v.Name+", version "+v.Version)
	}
	row("aliases", strings.Join(v.Aliases, ", "))
	row("run", v.Run)
	row("page", v.Page)
	row("folder", f.Bundle.Dir)
	transferred := "nothing, the bundle was there already"
	if f.Bytes > 0 {
		transferred = fmt.Sprintf("%.1f MB in %.1f s", float64(f.Bytes)/1e6, took.Seconds())
	}
	row("transferred", transferred)
	return out.Flush()
}
