// SPDX-License-Identifier: Apache-2.0

package arch_test

import (
	"maps"
	"regexp"
	"slices"
)

const codesPage = "docs/codes.md"

// codeRules hold the page of codes against the program.
func codeRules() []rule {
	return []rule{
		{"codes-are-listed", "who meets a code looks for it there", checkCodes, triedCodes()},
	}
}

func checkCodes(t *tree) []string {
	code := regexp.MustCompile(`\bE[1-9][0-9][0-9]\b`)
	used := map[string]string{}
	for _, f := range t.files {
		if f.isTest() {
			continue
		}
		for _, c := range code.FindAllString(f.text, -1) {
			if used[c] == "" {
				used[c] = f.path
			}
		}
	}
	rows := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^\| (E[1-9][0-9][0-9]) \|`).FindAllStringSubmatch(t.other[codesPage], -1) {
		rows[m[1]]++
	}
	var found []string
	for _, c := range slices.Sorted(maps.Keys(used)) {
		if rows[c] != 1 {
			found = append(found, codesPage+" has not exactly one line for "+c+", which is in "+used[c])
		}
		delete(rows, c)
	}
	for _, c := range slices.Sorted(maps.Keys(rows)) {
		found = append(found, codesPage+" lists "+c+", which the program does not have")
	}
	return found
}

func triedCodes() []sample {
	source := "package mqtt\n\nconst refused = \"E320\" // and E3200, XE321\n"
	return []sample{
		{"missing", map[string]string{"mqtt/a.go": source, codesPage: "| E3200 | no |"}, []string{"E320, which is in mqtt/a.go"}},
		{"twice", map[string]string{"mqtt/a.go": source, codesPage: "| E320 | one |\n| E320 | two |"}, []string{"exactly one line for E320"}},
		{"of a test only", map[string]string{"mqtt/a_test.go": source, codesPage: ""}, nil},
		{"gone", map[string]string{"mqtt/a.go": "package mqtt", codesPage: "| E320 | one |"}, []string{"lists E320"}},
		{"kept", map[string]string{"mqtt/a.go": source, codesPage: "| E320 | one |"}, nil},
	}
}
