// SPDX-License-Identifier: Apache-2.0

package arch_test

import (
	"slices"
	"strings"
	"testing"
)

// rule is one sentence that holds for the whole tree.
type rule struct {
	name  string
	why   string // ends the message of every violation
	check func(*tree) []string
	tried []sample // at least one with a violation
}

// sample is a tree that a rule is tried on.
type sample struct {
	name  string
	files map[string]string
	want  []string // a part of each violation, in any order; none: the rule is kept
}

func rules() []rule {
	return slices.Concat(importRules(), sourceRules(), stateRules(), testRules(), docRules(), codeRules())
}

func TestTree(t *testing.T) {
	whole := load(t)
	if len(whole.files) < 10 {
		t.Fatalf("found only %d Go files: the tree was not read", len(whole.files))
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, violation := range r.check(whole) {
				t.Errorf("%s\n\twhy: %s", violation, r.why)
			}
		})
	}
}

func TestRulesSeeViolations(t *testing.T) {
	for _, r := range rules() {
		breaks := 0
		for _, s := range r.tried {
			breaks += len(s.want)
			t.Run(r.name+"/"+s.name, func(t *testing.T) { try(t, r, s) })
		}
		if breaks == 0 {
			t.Errorf("rule %q was never seen to catch anything", r.name)
		}
		if r.why == "" {
			t.Errorf("rule %q does not say why", r.name)
		}
	}
}

func try(t *testing.T, r rule, s sample) {
	got := r.check(parse(t, s.files))
	if len(got) != len(s.want) {
		t.Errorf("%d violations, want %d: %q", len(got), len(s.want), got)
	}
	for _, want := range s.want {
		if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, want) }) {
			t.Errorf("no violation tells %q: %q", want, got)
		}
	}
}
