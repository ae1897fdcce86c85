// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"strings"
	"testing"
)

func source1(t *testing.T, text string) *source {
	t.Helper()
	src, p := parse("e.toml", 0, text)
	if p != nil {
		t.Fatal(p)
	}
	return src
}

func userX() []string { return []string{"broker", "user", "x"} }

func TestSetTable(t *testing.T) {
	for _, c := range []struct {
		name, text string
		keys       []KeyValue
		want       string // beginning with "!": what the error says
	}{
		{
			"an empty file", "",
			[]KeyValue{{"password", "p"}, {"publish", []string{"a", `b"\`}}, {"cert", nil}},
			"[broker.user.x]\npassword = \"p\"\npublish = [\"a\", \"b\\\"\\\\\"]\n",
		},
		{
			"a table at the end", "# mine\n[broker]\n",
			[]KeyValue{{"cert", "ä\n\x7f"}},
			"# mine\n[broker]\n\n[broker.user.x]\ncert = \"ä\\u000A\\u007F\"\n",
		},
		{"no newline at the end", "[broker]", []KeyValue{{"a", "b"}}, "[broker]\n\n[broker.user.x]\na = \"b\"\n"},
		{"carriage returns", "[broker]\r\n", []KeyValue{{"a", "b"}}, "[broker]\r\n\r\n[broker.user.x]\r\na = \"b\"\r\n"},
		{
			"a value", "[ broker.user.x ] # him\n  password   = \"old\" # since May\n\n# next\n[device.a]\n",
			[]KeyValue{{"password", "new"}},
			"[ broker.user.x ] # him\n  password   = \"new\" # since May\n\n# next\n[device.a]\n",
		},
		{
			"another key", "[broker.user.x]\nid = [\n  \"a\", # one\n] # list\n# not yet\n\n[device.a]\n",
			[]KeyValue{{"publish", []string{}}},
			"[broker.user.x]\nid = [\n  \"a\", # one\n] # list\npublish = []\n# not yet\n\n[device.a]\n",
		},
		{"the first key", "[broker.user.x] # him\n[device.a]\n", []KeyValue{{"a", "b"}}, "[broker.user.x] # him\na = \"b\"\n[device.a]\n"},
		{"the first key without a newline", "[broker.user.x]", []KeyValue{{"a", "b"}}, "[broker.user.x]\na = \"b\"\n"},
		{
			"a key that goes", "[broker.user.x]\na = '''\n[y]\n''' # gone\nb = 1\n",
			[]KeyValue{{"a", nil}, {"c", nil}},
			"[broker.user.x]\nb = 1\n",
		},
		{
			"all at once", "[broker.user.x]\na = \"1\"\nb = \"2\"\nc = \"3\"\n",
			[]KeyValue{{"d", "4"}, {"a", nil}, {"c", "5"}, {"e", "6"}},
			"[broker.user.x]\nb = \"2\"\nc = \"5\"\nd = \"4\"\ne = \"6\"\n",
		},
		{"a quoted name", "[broker.user.\"x\"]\na = \"1\"\n", []KeyValue{{"a", "2"}}, "[broker.user.\"x\"]\na = \"2\"\n"},
		{"inline", "[broker]\nuser.x = { a = \"1\" }\n", []KeyValue{{"a", "2"}}, "!e.toml:2: broker.user.x is not written as a table of its own"},
		{"dotted", "[broker.user]\n\nx.a = \"1\"\n", []KeyValue{{"a", "2"}}, "!e.toml:3: broker.user.x is not written as a table of its own"},
		{"an inline table that it would be in", "broker = { anonymous = true }\n", []KeyValue{{"a", "2"}}, "!e.toml:1: broker.user.x is not written"},
		{"a table as a value", "[broker.user.x]\na = { b = 1 }\n", []KeyValue{{"a", "2"}}, "!broker.user.x.a is not written"},
		{"not UTF-8", "", []KeyValue{{"a", "\xff"}}, "!not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := source1(t, c.text).set(userX(), c.keys)
			if fault, bad := strings.CutPrefix(c.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), fault) {
					t.Errorf("%s\ngives %q, error %v, want the error %q", c.text, got, err, fault)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("%s\n got: %v\n%s\nwant:\n%s", c.text, err, got, c.want)
			}
		})
	}
}

func TestRemoveTable(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"not there", "# a\n", "# a\n"},
		{"alone", "[broker.user.x]\na = 1\n", ""},
		{"at the end", "# a\n[broker]\n\n[broker.user.x]\na = 1\n", "# a\n[broker]\n"},
		{"between others", "[a]\n\n[broker.user.x] # x\na = 1 # 1\n# b = 2\nc = [\n]\n\n# about b\n[b]\n", "[a]\n\n# about b\n[b]\n"},
		{"comments around", "[a]\n# about x\n[broker.user.x]\na = 1\n# d = 1\n[b]\n", "[a]\n# about x\n# d = 1\n[b]\n"},
		{"without keys", "[broker.user.x]\n[b]\n", "[b]\n"},
		{"carriage returns", "[a]\r\n\r\n[broker.user.x]\r\na = 1\r\n", "[a]\r\n"},
		{"no newline at the end", "[a]\n\n[broker.user.x]\na = 1", "[a]\n"},
		{"inline", "[broker.user]\nx = { a = 1 }\n", "!e.toml:2: broker.user.x"},
		{"tables below", "[broker.user.x]\n[broker.user.x.y]\n", "!broker.user.x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := source1(t, c.text).without(userX())
			if fault, bad := strings.CutPrefix(c.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), fault) {
					t.Errorf("%s\ngives %q, error %v, want the error %q", c.text, got, err, fault)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("%s\n got: %v\n%s\nwant:\n%s", c.text, err, got, c.want)
			}
		})
	}
}

// What is added and taken out again leaves the file as it was.
func TestAddAndRemove(t *testing.T) {
	for _, text := range []string{"", "# a\n", "[broker]\n\n# end\n", "[a]\nb = 1\n\n\n"} {
		added, err := source1(t, text).set(userX(), []KeyValue{{"a", "b"}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := source1(t, added).without(userX())
		if err != nil || got != text {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
}

// Whatever the file is, a change is made as it was asked for, or refused; nothing else differs.
func FuzzEdit(f *testing.F) {
	for _, text := range []string{
		"", "[broker.user.x]\na = \"1\" # c\nb = [\n1, # x\n]\n[device.y]\n", "broker.user.x.a = 1\n", "[broker]\nuser = { x = { a = 1 } }\n",
		"broker.user.x.a.b = 0\n", "[broker.user.x]\na = '''\nb\n'''", "[[broker]]\n[broker.user.x]\n", "\ufeff[broker.user.\"\\u0078\"]\r\na=1\r\n",
	} {
		f.Add(text, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		src, p := parse("e.toml", 0, text)
		if p != nil || strings.Contains(strings.ToLower(text), "nan") { // which differs from itself
			return
		}
		same := func(what, after string, want any) {
			t.Helper()
			before, err := decode(src.text)
			if err != nil {
				return
			}
			now, err := decode(after)
			if err != nil {
				t.Fatalf("%s of %q gives %q: %v", what, text, after, err)
			}
			if got := at(now, append(userX(), "a")); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s of %q gives %q, in which a is %v, want %v", what, text, after, got, want)
			}
			if !reflect.DeepEqual(less(before, userX()), less(now, userX())) {
				t.Fatalf("%s of %q gives %q, in which something else differs", what, text, after)
			}
		}
		if after, err := src.set(userX(), []KeyValue{{"a", value}, {"b", []string{value}}}); err == nil {
			same("a new value", after, value)
		}
		if after, err := src.set(userX(), []KeyValue{{"a", nil}}); err == nil {
			same("a key taken out", after, nil)
		}
		if after, err := src.without(userX()); err == nil {
			same("a table taken out", after, nil)
		}
	})
}

// at is the value under a path of decoded TOML.
func at(values map[string]any, path []string) any {
	for _, name := range path[:len(path)-1] {
		inner, ok := values[name].(map[string]any)
		if !ok {
			return nil
		}
		values = inner
	}
	return values[path[len(path)-1]]
}
