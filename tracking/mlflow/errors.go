package mlflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"flairstream/internal/web"
)

// explain adds what the server said, and the remedy.
func explain(err error) error {
	if errors.Is(err, web.ErrForm) {
		return fmt.Errorf("%w: is MLFLOW_TRACKING_URI that of the server, and the credentials what its proxy wants?", err)
	}
	status, ok := errors.AsType[*web.StatusError](err)
	if !ok {
		return err
	}
	var said struct {
		Code    string `json:"error_code"`
		Message string
	}
	_ = json.Unmarshal(status.Body, &said) // proxies answer in other forms
	switch {
	case status.Code == http.StatusUnauthorized:
		return fmt.Errorf("%w: set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, to what it accepts", err)
	case status.Code == http.StatusForbidden && bytes.Contains(status.Body, []byte("Invalid Host")):
		return fmt.Errorf("%w, Invalid Host: start the server with this host in MLFLOW_SERVER_ALLOWED_HOSTS", err)
	case status.Code == http.StatusForbidden:
		return fmt.Errorf("%w: the user of MLFLOW_TRACKING_TOKEN or MLFLOW_TRACKING_USERNAME may not read this", err)
	case said.Code == "RESOURCE_DOES_NOT_EXIST":
		return fmt.Errorf("%w: %w: %.200q", ErrNotFound, err, said.Message)
	case said.Message != "":
		return fmt.Errorf("%w: %.200q", err, said.Message)
	case status.Code == http.StatusNotFound:
		return fmt.Errorf("%w: is MLFLOW_TRACKING_URI that of an MLflow server?", err)
	}
	return err
}

// isInvalid tells whether the server refused a parameter; so it answers for an alias that a model does not have.
func isInvalid(err error) bool {
	status, ok := errors.AsType[*web.StatusError](err)
	return ok && status.Code == http.StatusBadRequest && bytes.Contains(status.Body, []byte(`"INVALID_PARAMETER_VALUE"`))
}
