// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"edged/bridge"
	"edged/bridge/bus"
	"edged/broker"
	"edged/console"
	"edged/uplink"
)

const (
	exampleFile   = "../systemd/edged.toml"
	referenceFile = "../docs/configuration.md"
)

func readText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// uncommented is the example with every key and table in force.
func uncommented(t *testing.T) string {
	return regexp.MustCompile(`(?m)^#([a-z\[])`).ReplaceAllString(readText(t, exampleFile), "$1")
}

// elsewhere puts the files that the example names into a directory of the test's own.
func elsewhere(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	for name, content := range map[string][]byte{
		"secrets/cloud": []byte("secret\n"), "cloud/ca.pem": certificate, "cloud/device.pem": certificate,
		"cloud/device.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"secrets/nodered":  []byte("secret\n"), "secrets/prometheus": []byte("secret\n"), "tls/cert.pem": certificate, "tls/clients.pem": certificate,
		"tls/key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(text, "/etc/edged/", dir+"/")
}

func TestExampleIsAnEmptyConfiguration(t *testing.T) {
	cfg, err := Parse(exampleFile, readText(t, exampleFile))
	if err != nil {
		t.Fatal(err)
	}
	empty, err := Parse(exampleFile, "")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Hash != empty.Hash || cfg.Uplink != nil || len(cfg.Devices) > 0 || !reflect.DeepEqual(cfg.Broker, empty.Broker) {
		t.Errorf("the example gives %+v, an empty file %+v", cfg, empty)
	}
}

func TestExampleShowsTheDefaults(t *testing.T) {
	cfg, err := Parse(exampleFile, elsewhere(t, uncommented(t)))
	if err != nil {
		t.Fatalf("the example with every key in force:\n%v", err)
	}
	cfg.Broker.TLS, cfg.Broker.WS, cfg.Broker.Users = broker.TLS{}, broker.WS{}, nil // examples, which have no default
	if want := broker.Defaults(); !reflect.DeepEqual(cfg.Broker, want) {
		t.Errorf("[broker] is %+v, the defaults are %+v", cfg.Broker, want)
	}
	want, got := uplink.Defaults(), *cfg.Uplink
	expand(&want, cfg.Gateway.ID)
	want.URLs, want.Username, want.Password, want.CA, want.Cert, want.Key = got.URLs, got.Username, nil, got.CA, got.Cert, got.Key
	want.ALPN, want.Proxy = got.ALPN, got.Proxy
	got.Password = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("[uplink] is %+v, the defaults are %+v", got, want)
	}
	if cfg.Console != console.Defaults() {
		t.Errorf("[console] is %+v, the defaults are %+v", cfg.Console, console.Defaults())
	}
	d, device := cfg.Devices[0], bridge.Defaults()
	if d.KeepAlive != device.KeepAlive || d.Publish != device.Publish || d.Retain != device.Retain || d.Disabled != device.Disabled {
		t.Errorf("[device.air] is %+v, the defaults are %+v", d, device)
	}
}

// accepted are the tables with the keys that this version accepts.
func accepted() map[string][]string {
	tables := map[string][]field{
		"gateway": gatewayFields(&Gateway{}), "broker": brokerFields(&broker.Config{}, nil), "broker.limits": limitFields(&broker.Limits{}),
		"broker.tls": tlsFields(&broker.TLS{}), "broker.ws": wsFields(&broker.WS{}), "broker.user.NAME": userFields(&broker.User{}, &Secret{}),
		"uplink": uplinkFields(&uplink.Config{}, &Secret{}, &Secret{}), "uplink.queue": queueFields(&uplink.Config{}), "uplink.rate": rateFields(&uplink.Config{}), "console": consoleFields(&console.Config{}),
		"bus.NAME":    busFields(&bus.Config{}),
		"device.NAME": deviceFields(&bridge.Config{}, nil), "device.NAME.reading.READING": readingFields(&bridge.Reading{}),
	}
	keys := map[string][]string{}
	for table, fields := range tables {
		for _, f := range fields {
			if f.read != nil {
				keys[table] = append(keys[table], f.name)
			}
		}
	}
	return keys
}

func TestExampleHasEveryKey(t *testing.T) {
	src, p := parse(exampleFile, 0, uncommented(t))
	if p != nil {
		t.Fatal(p)
	}
	holdsEveryKey(t, exampleFile, src)
}

func holdsEveryKey(t *testing.T, file string, src *source) {
	t.Helper()
	for table, keys := range accepted() {
		n := src.root
		for _, name := range strings.Split(strings.NewReplacer("user.NAME", "user.nodered", "NAME", "air", "READING", "pm25").Replace(table), ".") {
			if n = n.kids[name]; n == nil {
				t.Fatalf("%s has no table [%s]", file, table)
			}
		}
		air := n
		for _, key := range keys {
			n = air
			if table == "device.NAME" && key == "bus" { // it is in place of others
				n = src.root.kids["device"].kids["meter"]
			}
			if n.kids[key] == nil {
				t.Errorf("%s lacks the key %s of [%s]", file, key, table)
			}
		}
	}
}

func TestReferenceHasEveryKey(t *testing.T) {
	text := readText(t, referenceFile)
	for table, keys := range accepted() {
		_, section, ok := strings.Cut(text, "\n## `["+table+"]`")
		if !ok {
			t.Errorf("%s has no heading for [%s]", referenceFile, table)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, key := range keys {
			if !strings.Contains(section, "\n| `"+key+"` |") {
				t.Errorf("%s lacks the key %s of [%s]", referenceFile, key, table)
			}
		}
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
			if !strings.Contains(" "+strings.Join(keys, " ")+" ", " "+row[1]+" ") {
				t.Errorf("%s describes the key %s of [%s], which is not accepted", referenceFile, row[1], table)
			}
		}
	}
	for _, c := range Codes() {
		if !strings.Contains(text, "\n| "+c.ID+" |") {
			t.Errorf("%s lacks the code %s", referenceFile, c.ID)
		}
	}
}

// The blocks of TOML in the reference are files that work, each alone.
func TestReferenceBlocksParse(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(readText(t, referenceFile), -1)
	if len(blocks) < 5 {
		t.Fatalf("%s has %d blocks of TOML", referenceFile, len(blocks))
	}
	for _, b := range blocks {
		if _, err := Parse(referenceFile, elsewhere(t, b[1])); err != nil {
			t.Errorf("%s\n%v", b[1], err)
		}
	}
}
