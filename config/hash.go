// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
)

// hash tells one effective configuration from another in 12 hexadecimal digits. It knows where secrets come from, not
// what they are.
func (cfg *Config) hash() string {
	devices := map[string]any{}
	for _, d := range cfg.Devices {
		devices[d.Name] = plainFields(reflect.ValueOf(d))
	}
	view := map[string]any{
		"gateway": plainFields(reflect.ValueOf(cfg.Gateway)), "broker": cfg.brokerView(),
		"console": plainFields(reflect.ValueOf(cfg.Console)), "devices": devices, "password": cfg.password.reference(), "proxy": cfg.proxy.reference(),
	}
	if len(cfg.Buses) > 0 {
		view["buses"] = cfg.Buses
	}
	if files := cfg.Drivers.Files(); len(files) > 0 {
		view["drivers"] = files
	}
	if cfg.Uplink != nil {
		view["uplink"] = plainFields(reflect.ValueOf(*cfg.Uplink))
	}
	b, err := json.Marshal(view)
	if err != nil {
		b = fmt.Appendf(nil, "%v", view)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// SameUplink tells whether two configurations say the same about the cloud; of secrets, where they come from.
func (cfg *Config) SameUplink(other *Config) bool {
	if cfg.Uplink == nil || other.Uplink == nil {
		return cfg.Uplink == other.Uplink
	}
	return cfg.password.reference() == other.password.reference() && cfg.proxy.reference() == other.proxy.reference() &&
		reflect.DeepEqual(plainFields(reflect.ValueOf(*cfg.Uplink)), plainFields(reflect.ValueOf(*other.Uplink)))
}

// KeepGateway takes over from another configuration what belongs to the gateway's id, and the id itself.
func (cfg *Config) KeepGateway(other *Config) {
	cfg.Gateway.ID, cfg.Devices, cfg.Drivers, cfg.Buses = other.Gateway.ID, other.Devices, other.Drivers, other.Buses
	cfg.Uplink, cfg.password, cfg.proxy = other.Uplink, other.password, other.proxy
	cfg.Hash = cfg.hash()
}

// SameBroker tells whether two configurations say the same about the broker; of passwords, where they come from or the
// hash.
func (cfg *Config) SameBroker(other *Config) bool {
	if !reflect.DeepEqual(cfg.brokerView(), other.brokerView()) {
		return false
	}
	for name, p := range cfg.userPasswords {
		if q := other.userPasswords[name]; p.ref != nil && q.ref != nil && *p.ref != *q.ref {
			return false
		}
	}
	return true
}

func (cfg *Config) brokerView() map[string]any {
	view := plainFields(reflect.ValueOf(cfg.Broker))
	users := map[string]any{}
	for name, u := range cfg.Broker.Users {
		user := plainFields(reflect.ValueOf(u))
		user["password"] = cfg.userPasswords[name].reference()
		users[name] = user
	}
	view["Users"] = users
	return view
}

// plainFields holds the fields of a struct that are no functions, which JSON does not have, and not zero.
func plainFields(v reflect.Value) map[string]any {
	fields := map[string]any{}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() != reflect.Func && !f.IsZero() && !empty(f) {
			fields[v.Type().Field(i).Name] = f.Interface()
		}
	}
	return fields
}

func empty(v reflect.Value) bool {
	return (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.Len() == 0
}
