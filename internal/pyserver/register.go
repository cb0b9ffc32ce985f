package pyserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// Registration is a bundle to be registered in MLflow.
type Registration struct {
	URL, Name, Alias string // the server's, the model's; an empty Alias sets none
	Bundle           string // the folder
	Digest           string // the tag; empty: none
}

// Register uploads the bundle's files as a run's artifacts and registers them as training does, by plain REST. It gives the
// version and the run's id.
func Register(r Registration) (version, run string, err error) {
	var made struct {
		Run struct {
			Info struct {
				RunID string `json:"run_id"`
			}
		}
	}
	if err := r.post("runs/create", map[string]any{"experiment_id": "0"}, &made); err != nil {
		return "", "", err
	}
	run = made.Run.Info.RunID
	source := "/0/" + run + "/artifacts/bundle"
	if err := r.upload(source); err != nil {
		return "", "", err
	}
	_ = r.post("registered-models/create", map[string]any{"name": r.Name}, nil) // may be there
	var registered struct {
		Version struct{ Version string } `json:"model_version"`
	}
	creation := map[string]any{"name": r.Name, "source": "mlflow-artifacts:" + source, "run_id": run}
	if r.Digest != "" {
		creation["tags"] = []map[string]string{{"key": "digest", "value": r.Digest}}
	}
	if err := r.post("model-versions/create", creation, &registered); err != nil {
		return "", "", err
	}
	version = registered.Version.Version
	if r.Alias != "" {
		err = r.post("registered-models/alias", map[string]any{"name": r.Name, "alias": r.Alias, "version": version}, nil)
	}
	return version, run, err
}

func (r Registration) post(path string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return r.send(http.MethodPost, "/api/2.0/mlflow/"+path, data, answer)
}

func (r Registration) upload(source string) error {
	return filepath.WalkDir(r.Bundle, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(r.Bundle, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return r.send(http.MethodPut, "/api/2.0/mlflow-artifacts/artifacts"+source+"/"+filepath.ToSlash(name), data, nil)
	})
}

func (r Registration) send(method, path string, body []byte, answer any) error {
	request, err := http.NewRequest(method, r.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, data)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(data, answer)
}
