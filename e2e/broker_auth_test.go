package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"flairstream/event"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign makes a certificate that holds for an hour; the first is the authority's own.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// writeServer writes a new certificate of a server on the loopback interface, with its key.
func (a *authority) writeServer(certFile, keyFile string) {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, certFile, "CERTIFICATE", cert.Raw)
	writePEM(a.t, keyFile, "PRIVATE KEY", der)
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCertificateRotation changes the broker's certificate under a worker: one of the same authority is taken without a
// word; one of an unknown authority is refused and named, until the worker's file names that one. Nobody is started anew.
func TestCertificateRotation(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	caFile, certFile, keyFile := filepath.Join(folder, "ca.pem"), filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	writePEM(t, caFile, "CERTIFICATE", first.cert.Raw)
	first.writeServer(certFile, keyFile)
	b := startBroker(t, brokerOptions{settings: fmt.Sprintf("tls { cert_file: %q, key_file: %q }", certFile, keyFile)})
	s := newSystemAt(t, options{
		URL: "tls://" + b.address, Parameters: "ca=" + caFile, Connect: []nats.Option{nats.RootCAs(caFile)},
	})
	p := startProxy(t, b.address, newRand(t))
	w := s.start(plan{URL: strings.Replace(p.url(), "nats://", "tls://", 1)})
	s.publish(shortTexts(50)...)
	s.drained()

	first.writeServer(certFile, keyFile)
	b.rotated(func() { p.cut() })
	s.publish(textsFrom(50, 50)...)
	s.drained()

	second.writeServer(certFile, keyFile)
	b.rotated(func() { p.cut() })
	says(t, w, "certificate signed by unknown authority")
	writePEM(t, caFile, "CERTIFICATE", second.cert.Raw)
	eventually(t, "the worker is ready again", func() bool { return w.ready() == nil })
	s.publish(textsFrom(100, 50)...)
	s.drained()
	s.stop(w)
	s.check(expect{Pauses: true})
}

// rotated has the broker read its files anew, and then does something.
func (b *broker) rotated(then func()) {
	b.t.Helper()
	before := strings.Count(b.logged(), "Reloaded server configuration")
	b.reload()
	eventually(b.t, "the broker has reloaded its configuration", func() bool {
		return strings.Count(b.logged(), "Reloaded server configuration") > before
	})
	then()
}

func (b *broker) logged() string {
	text, err := os.ReadFile(b.logFile())
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// says waits until the worker is not ready for a reason.
func says(t *testing.T, w *process, reason string) {
	t.Helper()
	var last error
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the worker last said: %v", last)
		}
	})
	eventually(t, "the worker is not ready and says "+reason, func() bool {
		last = w.ready()
		return last != nil && strings.Contains(last.Error(), reason)
	})
}

// operator is who signs accounts: one for the product and one for the system.
type operator struct {
	t       *testing.T
	key     nkeys.KeyPair
	account nkeys.KeyPair
	claims  *jwt.AccountClaims // of the product's account
	system  string             // the system's account
	fixed   string             // the settings that never change
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := &operator{t: t, key: newKey(t, nkeys.CreateOperator), account: newKey(t, nkeys.CreateAccount)}
	o.system = public(t, newKey(t, nkeys.CreateAccount))
	o.claims = jwt.NewAccountClaims(public(t, o.account))
	o.claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		DiskStorage: jwt.NoLimit, MemoryStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	claims := jwt.NewOperatorClaims(public(t, o.key))
	claims.SystemAccount = o.system
	o.fixed = fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload { %s: %s",
		o.signed(claims), o.system, o.signed(jwt.NewAccountClaims(o.system)))
	return o
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	name, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// settings are the broker's: it knows the accounts by what the operator signed.
func (o *operator) settings() string {
	o.t.Helper()
	return fmt.Sprintf("%s, %s: %s }\n", o.fixed, public(o.t, o.account), o.signed(o.claims))
}

func (o *operator) signed(claims jwt.Claims) string {
	o.t.Helper()
	token, err := claims.Encode(o.key)
	if err != nil {
		o.t.Fatal(err)
	}
	return token
}

// user writes new credentials into a file and gives the user's public key, by which it can be revoked.
func (o *operator) user(file string, permissions jwt.Permissions) string {
	o.t.Helper()
	key := newKey(o.t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(public(o.t, key))
	claims.Permissions = permissions
	token, err := claims.Encode(o.account)
	if err != nil {
		o.t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	credentials, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(file, credentials, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return claims.Subject
}

// leastPermissions are all that a worker needs.
func leastPermissions() jwt.Permissions {
	var p jwt.Permissions
	p.Pub.Allow = jwt.StringList{
		"$JS.API.STREAM.INFO.TEXTS", "$JS.API.STREAM.INFO.PREDICTIONS", "$JS.API.STREAM.INFO.DEADLETTERS",
		"$JS.API.CONSUMER.INFO.TEXTS.worker", "$JS.API.CONSUMER.MSG.NEXT.TEXTS.worker", "$JS.ACK.TEXTS.worker.>",
		"$JS.API.STREAM.INFO.KV_flairstream-starts-TEXTS-worker", "$JS.API.DIRECT.GET.KV_flairstream-starts-TEXTS-worker.>",
		"$KV.flairstream-starts-TEXTS-worker.>",
		"predictions.>", "deadletters", "deadletters.>",
	}
	p.Sub.Allow = jwt.StringList{"_INBOX_worker.>"}
	return p
}

// TestCredentialsRevoked runs a worker with the least permissions, revokes its credentials, and gives it others in the same
// file. It says what is wrong, tries on at its own pace, and is not started anew.
func TestCredentialsRevoked(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	folder := t.TempDir()
	adminFile, workerFile := filepath.Join(folder, "admin.creds"), filepath.Join(folder, "worker.creds")
	o.user(adminFile, jwt.Permissions{})
	worker := o.user(workerFile, leastPermissions())
	b := startBroker(t, brokerOptions{settings: o.settings()})
	s := newSystemAt(t, options{
		URL: b.url(), Parameters: "creds=" + adminFile, Connect: []nats.Option{nats.UserCredentials(adminFile)},
	})
	w := s.start(plan{Parameters: "inbox=_INBOX_worker&creds=" + workerFile})
	texts := shortTexts(100)
	texts[7].Text += " " + poison // its dead letter needs permissions too
	s.publish(texts...)
	s.drained()
	eventually(t, "the worker is ready", func() bool { return w.ready() == nil })

	o.claims.Revoke(worker)
	b.configure(o.settings())
	b.rotated(func() {})
	says(t, w, "uthorization")
	tried := strings.Count(b.logged(), "authentication error")
	s.publish(textsFrom(100, 50)...)
	eventually(t, "the worker tries again", func() bool { return strings.Count(b.logged(), "authentication error") > tried })
	o.user(workerFile, leastPermissions())
	eventually(t, "the worker is ready again", func() bool { return w.ready() == nil })
	s.drained()
	s.stop(w)
	s.check(expect{Pauses: true, Guilty: map[string]event.Reason{texts[7].ID: event.ReasonModelError}})
}
