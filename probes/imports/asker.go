package imports

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"

	"fairway/steering"
)

const (
	maxAnswer = 16 << 20 // octets, unpacked
	maxSeries = 10_000
)

// asker speaks HTTP for one turn of an import. Its files are read anew each time, so
// that secrets and certificates can be replaced.
type asker struct {
	of        *steering.Import
	most      int // octets of an answer
	client    *http.Client
	transport *http.Transport
	token     string
	password  string
}

// newAsker reads the import's files.
func newAsker(of *steering.Import, most int, allowed func(netip.Addr) bool) (*asker, error) {
	a := &asker{of: of, most: most}
	var err error
	if a.token, err = secret(of.Access.TokenFile); err != nil {
		return nil, fmt.Errorf("token_file: %w", err)
	}
	if a.password, err = secret(of.Access.PasswordFile); err != nil {
		return nil, fmt.Errorf("password_file: %w", err)
	}
	trust, err := trusted(of.Access)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: of.Timeout, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !allowed(to.Addr().Unmap()) {
			return fmt.Errorf("%s is no public address: allow it by probing: {allow: [%s]}", to.Addr(), to.Addr())
		}
		return nil
	}}
	a.transport = &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: trust, TLSHandshakeTimeout: of.Timeout, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: maxAtOnce}
	a.client = &http.Client{Transport: a.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return a, nil
}

func (a *asker) close() { a.transport.CloseIdleConnections() }

// secret reads a file that holds nothing but a secret; empty for no file.
func secret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others: chmod 600 %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(text))
	if s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return s, nil
}

// trusted is what TLS shows and trusts.
func trusted(access steering.ImportAccess) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if access.CAFile != "" {
		pem, err := os.ReadFile(access.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM", access.CAFile)
		}
	}
	if access.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(access.CertFile, access.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cert_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// get asks for one URL. An answer that is no success comes with the error.
func (a *asker) get(ctx context.Context, target string, header http.Header) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, a.of.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	switch {
	case a.token != "":
		request.Header.Set("Authorization", "Bearer "+a.token)
	case a.of.Access.User != "":
		request.SetBasicAuth(a.of.Access.User, a.password)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, a.plain(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return nil, fmt.Errorf("it redirects to %s, which is not followed: name where it really is", withoutQuery(response.Header.Get("Location")))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(a.most)+1))
	switch {
	case err != nil:
		return nil, a.plain(err)
	case len(body) > a.most:
		return nil, fmt.Errorf("the answer is larger than %d KiB: ask for less", a.most>>10)
	case response.StatusCode != http.StatusOK:
		return body, fmt.Errorf("it answers %s", response.Status)
	}
	return body, nil
}

// plain leaves the URL, whose query is long, out of an error.
func (a *asker) plain(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no whole answer within %v", a.of.Timeout)
	}
	return err
}

// withoutQuery is a URL as it may be shown.
func withoutQuery(text string) string {
	text, _, _ = strings.Cut(text, "?")
	return text
}
