package web

import (
	"errors"
	"fmt"
	"net/http"
)

// errRedirect marks a redirect that leads nowhere, whenever it is asked.
var errRedirect = errors.New("the server's redirect can not be followed")

// keepCredentials lets no credentials follow a redirect to another server: Go itself would take them to other ports and to
// hosts below. Nor does the URL that redirected, which can hold a signature, go anywhere as Referer.
func keepCredentials(request *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return fmt.Errorf("%w: it is the 10th in a row", errRedirect)
	}
	request.Header.Del("Referer")
	first := via[0].URL
	if request.URL.Scheme != first.Scheme || request.URL.Host != first.Host {
		request.Header.Del("Authorization")
		request.Header.Del("Cookie")
	}
	return nil
}

// located takes no redirect to what is no URL of the web: http.Client would tell it in its error, be there a signature in it.
type located struct{ http.RoundTripper }

// RoundTrip sends the request.
func (l located) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(request)
	if err != nil || response.StatusCode/100 != 3 || response.Header.Get("Location") == "" {
		return response, err
	}
	place, err := request.URL.Parse(response.Header.Get("Location"))
	if err != nil || place.Scheme != "http" && place.Scheme != "https" || place.Host == "" {
		response.Body.Close()
		return nil, fmt.Errorf("%w: it leads to no http:// or https:// URL", errRedirect)
	}
	return response, nil
}
