package open

import (
	"strings"
	"testing"
)

func TestModel(t *testing.T) {
	env := map[string]string{"MLFLOW_TRACKING_URI": "https://ada:canary@mlflow.example/base/", "WANDB_API_KEY": "canary"}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	for place, want := range map[string]string{
		"models/support":                      "models/support",
		"file:///models/support":              "/models/support",
		"mlflow://models/support@champion":    "mlflow://models/support@champion at https://mlflow.example/base",
		"mlflow://models/support/3":           "mlflow://models/support/3 at https://mlflow.example/base",
		"wandb://acme/model/support:champion": "wandb://acme/model/support:champion at https://api.wandb.ai",
		"s3://bucket/support?region=r":        "s3://bucket/support/",
	} {
		got, err := Model(t.Context(), place, func(name string) string { return env[name] })
		if err != nil || got.Place() != want {
			t.Errorf("%s: %v, %v; want %s", place, got, err, want)
		}
	}
	for place, want := range map[string]string{
		"gs://bucket/support":           `the scheme "gs" is unknown`,
		"file://models/support":         "want file:///path",
		"mlflow://support@champion":     "want mlflow://models/NAME@ALIAS",
		"wandb://support:champion":      "want wandb://ORGANIZATION",
		"s3://user:canary@bucket/model": "want s3://BUCKET/PREFIX",
	} {
		got, err := Model(t.Context(), place, func(name string) string { return env[name] })
		if got != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, %v; want %q", place, got, err, want)
		}
	}
}
