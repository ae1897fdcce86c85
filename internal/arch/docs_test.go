// SPDX-License-Identifier: Apache-2.0

package arch_test

import (
	"maps"
	"slices"
	"strings"
)

const architecture = "docs/architecture.md"

func docRules() []rule {
	return []rule{
		{"architecture-is-complete", "who is new finds each package, and what it is for, on one page", checkArchitecture, triedArchitecture()},
		{"map-is-true", "a line for a package that is gone says that something is allowed which is not there", checkMapLines, triedMapLines()},
	}
}

func checkArchitecture(t *tree) []string {
	var found []string
	for _, dir := range slices.Sorted(maps.Keys(t.packages())) {
		if !strings.Contains(t.other[architecture], "`"+dir+"`") {
			found = append(found, architecture+": no word about `"+dir+"`")
		}
	}
	return found
}

func triedArchitecture() []sample {
	return []sample{
		{"missing", map[string]string{
			"mqtt/a.go": "package mqtt", "mqtt/wire/a.go": "package wire", architecture: "`mqtt/wire` is the wire.",
		}, []string{"`mqtt`"}},
		{"kept", map[string]string{"mqtt/a.go": "package mqtt", architecture: "`mqtt` is our client."}, nil},
	}
}

func checkMapLines(t *tree) []string {
	var found []string
	packages := t.packages()
	for _, dir := range slices.Sorted(maps.Keys(treeMap())) {
		if packages[dir] == nil {
			found = append(found, "internal/arch/imports_test.go: the map has a line for "+dir+", which is not there")
		}
	}
	return found
}

func triedMapLines() []sample {
	whole := map[string]string{}
	for dir := range treeMap() {
		whole[dir+"/a.go"] = "package a"
	}
	part := maps.Clone(whole)
	delete(part, "uplink/a.go")
	return []sample{
		{"gone", part, []string{"a line for uplink"}},
		{"kept", whole, nil},
	}
}
