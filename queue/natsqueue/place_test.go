package natsqueue

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParsePlace(t *testing.T) {
	for raw, want := range map[string]Place{
		"nats://host/TEXTS": {Server: Server{URLs: "nats://host"}, Stream: "TEXTS", Consumer: "worker"},
		"tls://a:4222,b:4223/IN?consumer=c&once=retention&replicas=3&max_bytes=1000": {
			Server: Server{URLs: "tls://a:4222,tls://b:4223"}, Stream: "IN", Consumer: "c", Once: true, Replicas: 3, MaxBytes: 1000,
		},
		"nats://[::1]:4222/IN?creds=/run/user.creds&ca=ca.pem&cert=c.pem&key=k.pem&inbox=_INBOX_worker": {
			Server: Server{URLs: "nats://[::1]:4222", Creds: "/run/user.creds", CA: "ca.pem", Cert: "c.pem", Key: "k.pem", Inbox: "_INBOX_worker"},
			Stream: "IN", Consumer: "worker",
		},
	} {
		got, err := ParsePlace(raw)
		if err != nil {
			t.Errorf("ParsePlace(%q): %v", raw, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Place{})); diff != "" {
			t.Errorf("ParsePlace(%q) differs (-want +got):\n%s", raw, diff)
		}
		if got.String() != raw {
			t.Errorf("String() = %q, want %q", got, raw)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	f.Add("nats://a:4222,b/TEXTS?consumer=x&replicas=3", "secret")
	f.Add("tls://user:%s@host/TEXTS", "a/b?")
	f.Fuzz(func(t *testing.T, raw, password string) {
		p, err := ParsePlace(raw)
		if err == nil && (p.Stream == "" || p.Server.URLs == "" || checkName(p.Consumer) != nil) {
			t.Errorf("ParsePlace(%q) = %+v", raw, p)
		}
		secret := fmt.Sprintf("nats://u:%scanary%s@h/TEXTS", password, password)
		if _, err := ParsePlace(secret); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("ParsePlace(%q) = %v", secret, err)
		}
	})
}
