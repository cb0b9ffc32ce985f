package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flairstream/queue"
	"flairstream/queue/open"
)

// roleFlags are the places that commands know, by role: the environment that the flag defaults to, and what lies there.
var roleFlags = []struct {
	role      queue.Role // also the flag's name
	env, what string
}{
	{queue.Texts, "FLAIRSTREAM_TEXTS", "texts to classify"},
	{queue.Predictions, "FLAIRSTREAM_PREDICTIONS", "predictions"},
	{queue.DeadLetters, "FLAIRSTREAM_DEADLETTERS", "dead letters"},
	{queue.GroundTruth, "FLAIRSTREAM_GROUND_TRUTH", "ground truth"},
}

// placeFlags adds the flags of some roles and gives the URLs that the user set, once the flags are parsed.
func placeFlags(cmd *cobra.Command, roles ...queue.Role) func() map[queue.Role]string {
	flags := make(map[queue.Role]*string)
	for _, f := range roleFlags {
		if slices.Contains(roles, f.role) {
			flags[f.role] = cmd.PersistentFlags().String(string(f.role), "", "URL of the "+f.what+" (default $"+f.env+")")
		}
	}
	return func() map[queue.Role]string {
		places := make(map[queue.Role]string)
		for _, f := range roleFlags {
			if flag, ok := flags[f.role]; ok {
				if place := cmp.Or(*flag, os.Getenv(f.env)); place != "" {
					places[f.role] = place
				}
			}
		}
		return places
	}
}

// withTransports runs with transports that log warnings to standard error.
func withTransports(cmd *cobra.Command, run func(ctx context.Context, transports *open.Transports) error) (err error) {
	transports := open.New(slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	defer func() { err = errors.Join(err, transports.Close(context.WithoutCancel(cmd.Context()))) }()
	return run(cmd.Context(), transports)
}

func newQueuesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queues",
		Short: "Set up and check streams and consumers",
		Long: `Set up and check the streams and consumers that producers, workers and monitors use.

The subjects of a stream are its name in lower case: TEXTS takes "texts" and "texts.>".
URLs are nats://host:4222/STREAM or tls://host:4222/STREAM, with these parameters:
  consumer=NAME      the durable consumer of texts that all workers share (default worker)
  creds=FILE         the user's credentials;  ca=FILE, cert=FILE, key=FILE for TLS
  inbox=PREFIX       of reply subjects, where the user may not subscribe to _INBOX.>
  once=retention     publish: refuse a taken subject for as long as it is kept
  replicas=N, max_bytes=N   of streams to be created`,
		Args: noArguments,
		RunE: showHelp,
	}
	places := placeFlags(cmd, queue.Texts, queue.Predictions, queue.DeadLetters, queue.GroundTruth)
	lease := cmd.PersistentFlags().Duration("ack-wait", 60*time.Second, "how long a worker may hold a text without a sign of life")
	inFlight := cmd.PersistentFlags().Int("max-ack-pending", 16384, "texts that all workers together may hold")
	plans := func() (map[queue.Role]string, queue.Plan, error) {
		switch p := places(); {
		case len(p) == 0:
			return nil, queue.Plan{}, fmt.Errorf("no queue: give --texts URL, --predictions URL, --deadletters URL or --ground-truth URL; %w", errUsage)
		case slices.ContainsFunc(slices.Collect(maps.Values(p)), inMemory):
			return nil, queue.Plan{}, fmt.Errorf("mem:// is a queue inside one process: it ends with this command; %w", errUsage)
		case *lease < time.Second:
			return nil, queue.Plan{}, fmt.Errorf("--ack-wait: want 1s or more; %w", errUsage)
		case *inFlight < 1:
			return nil, queue.Plan{}, fmt.Errorf("--max-ack-pending: want 1 or more; %w", errUsage)
		default:
			return p, queue.Plan{Lease: *lease, InFlight: *inFlight}, nil
		}
	}
	add := func(use, short, long string, create bool) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Long: short + ".\n\n" + long, Args: noArguments,
			RunE: func(cmd *cobra.Command, _ []string) error {
				places, plan, err := plans()
				if err != nil {
					return err
				}
				return withTransports(cmd, func(ctx context.Context, transports *open.Transports) error {
					return eachQueue(ctx, cmd, transports, places, plan, create)
				})
			},
		})
	}
	const verdicts = `What "differs" is a matter of taste or of capacity, and the roles work with it.
What is "UNSAFE" could lose texts or count them twice: the roles refuse it, and the
exit status is 1.`
	add("create", "Make what is absent; change nothing that is there",
		"Then compares what is there with what should be.\n\n"+verdicts, true)
	add("check", "Compare what is there with what should be", verdicts, false)
	return cmd
}

func inMemory(place string) bool { return strings.HasPrefix(place, "mem:") }

// eachQueue sets up or checks every place, and goes on after a failure so that all are reported at once.
func eachQueue(
	ctx context.Context, cmd *cobra.Command, transports *open.Transports, places map[queue.Role]string, plan queue.Plan, create bool,
) error {
	var errs []error
	unsafe := 0
	for _, f := range roleFlags {
		place, ok := places[f.role]
		if !ok {
			continue
		}
		plan.Role = f.role
		n, err := oneQueue(ctx, cmd, transports, place, plan, create)
		unsafe += n
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.role, err))
		}
	}
	if unsafe > 0 {
		errs = append(errs, fmt.Errorf("%d settings are not safe: texts could be lost or counted twice", unsafe))
	}
	return errors.Join(errs...)
}

func oneQueue(
	ctx context.Context, cmd *cobra.Command, transports *open.Transports, place string, plan queue.Plan, create bool,
) (unsafe int, err error) {
	admin, err := transports.Admin(ctx, place)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, admin.Close(context.WithoutCancel(ctx))) }()
	before, err := admin.Check(ctx, plan)
	if err != nil {
		return 0, err
	}
	after := before
	if create {
		if err := admin.Create(ctx, plan); err != nil {
			return 0, err
		}
		if after, err = admin.Check(ctx, plan); err != nil {
			return 0, err
		}
	}
	for _, d := range before {
		if !slices.Contains(after, d) {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: created %s\n", plan.Role, d.Setting)
		}
	}
	for _, d := range after {
		verdict := "differs"
		if d.Unsafe {
			unsafe++
			verdict = "UNSAFE"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s: %s\n", plan.Role, verdict, d)
	}
	if len(after) == 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: as planned\n", plan.Role)
	}
	return unsafe, nil
}
