// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Certificate is one on which the link depends.
type Certificate struct {
	Ours       bool   // else the server's, or one of who signed it
	Name       string // whose it is
	Begin, End time.Time
}

// Certificates returns those on which the link depends: ours as it is in its file, and those that the server showed last.
func (d *Dialer) Certificates() []Certificate {
	d.mu.Lock()
	all := slices.Clone(d.servers)
	d.mu.Unlock()
	pairs, err := d.files.certificates()
	if err != nil {
		return all
	}
	for _, pair := range pairs {
		if pair.Leaf != nil {
			all = append(all, Certificate{Ours: true, Name: pair.Leaf.Subject.CommonName, Begin: pair.Leaf.NotBefore, End: pair.Leaf.NotAfter})
		}
	}
	return all
}

// shown notes the certificates of a server: of the chains that vouch for it, the one that lasts longest.
func (d *Dialer) shown(state tls.ConnectionState) {
	var best []*x509.Certificate
	for _, chain := range state.VerifiedChains {
		if best == nil || soonest(chain).After(soonest(best)) {
			best = chain
		}
	}
	var all []Certificate
	for _, c := range best {
		name := c.Subject.CommonName
		if name == "" && len(c.DNSNames) > 0 {
			name = c.DNSNames[0]
		}
		all = append(all, Certificate{Name: name, Begin: c.NotBefore, End: c.NotAfter})
	}
	d.mu.Lock()
	d.servers = all
	d.mu.Unlock()
	if d.deps.Shown != nil {
		d.deps.Shown()
	}
}

func soonest(chain []*x509.Certificate) time.Time {
	first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	return first.NotAfter
}

// files are read anew at each use. Somebody who renews a certificate replaces two files one after the other, and not each
// program replaces a file whole: what cannot be used meanwhile leaves in force what could be used last.
type files struct {
	cfg Config

	mu    sync.Mutex
	roots *x509.CertPool
	pairs []tls.Certificate
}

// authorities are those who may sign the server's certificate; nil: the system's.
func (f *files) authorities() (*x509.CertPool, error) {
	if f.cfg.CA == "" {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	pem, err := os.ReadFile(f.cfg.CA)
	roots := x509.NewCertPool()
	switch {
	case err == nil && roots.AppendCertsFromPEM(pem):
		f.roots = roots
	case f.roots != nil:
	case err != nil:
		return nil, &Failure{"E303", fmt.Sprintf("the file %s of uplink.ca cannot be read; the user edged must be able to", f.cfg.CA), err}
	default:
		return nil, &Failure{"E303", f.cfg.CA + " holds no certificate; uplink.ca must name a file with the CA's certificate in PEM", nil}
	}
	return f.roots, nil
}

// certificates are those that the server may ask for; nil: none.
func (f *files) certificates() ([]tls.Certificate, error) {
	if f.cfg.Cert == "" {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	pair, err := tls.LoadX509KeyPair(f.cfg.Cert, f.cfg.Key)
	switch {
	case err == nil:
		f.pairs = []tls.Certificate{pair}
	case f.pairs == nil:
		return nil, &Failure{"", fmt.Sprintf("our certificate %s and its key %s cannot be used; uplink.cert and uplink.key must name PEM files that belong together", f.cfg.Cert, f.cfg.Key), err}
	}
	return f.pairs, nil
}
