// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the real binary against parties that the project did not write: mosquitto as the cloud, mosquitto's
// clients, pseudo terminals as UARTs. It holds tests only.
package e2e
