// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"edged/config"
)

func newUserList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "who there is, how they log in, and what they may do",
		Example: `  edged user list
  edged user list --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			d, err := g.draftOfUsers("")
			if err != nil {
				return err
			}
			all, err := d.Accounts()
			if err != nil {
				return g.problems(err)
			}
			return g.showUsers(all)
		},
	}
}

func (g *globals) showUsers(all []config.Account) error {
	if g.json {
		return json.NewEncoder(g.out).Encode(all)
	}
	if len(all) == 0 {
		g.say("there are no users; edged user add NAME makes one")
		return nil
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tLOGS IN WITH\tCLIENT IDS\tMAY PUBLISH\tMAY READ")
	for _, a := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.Name, loginText(a), listText(a.ClientIDs), listText(a.Publish), listText(a.Subscribe))
	}
	return w.Flush()
}

func loginText(a config.Account) string {
	var ways []string
	if a.Password != "" {
		ways = append(ways, "password: "+a.Password)
	}
	if a.Cert != "" {
		ways = append(ways, "certificate: "+a.Cert)
	}
	return listText(ways)
}

func listText(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}
