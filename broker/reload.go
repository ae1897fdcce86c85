// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"

	"edged/broker/authority"
)

// limits are those in force, which a reload replaces.
func (b *Broker) limits() *Limits { return b.now.Load() }

// Reload puts a configuration, which is valid, into force as far as it can change while the broker runs: users, rights,
// anonymous and the limits. The error says what could not be read; then all stays as it was.
func (b *Broker) Reload(cfg Config) error {
	if err := b.letIn(cfg); err != nil {
		return fmt.Errorf("reload the broker's configuration: %w", err)
	}
	b.now.Store(&cfg.Limits)
	return nil
}

// letIn lets those in whom the configuration names, with the rights that it gives them, and nobody else from outside.
func (b *Broker) letIn(cfg Config) error {
	t, err := authority.Read(cfg.Users, cfg.Anonymous)
	if err != nil {
		return err
	}
	b.routing.Lock()
	defer b.routing.Unlock()
	b.auth.Apply(t)
	if b.router != nil {
		b.router.Forget()
	}
	return nil
}
