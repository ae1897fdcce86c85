// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// user runs `edged user …` with that on standard input.
func (e *edged) user(t *testing.T, in string, args ...string) (stdout, talk string, exit int) {
	t.Helper()
	cmd := exec.Command(e.bin, append(append([]string{"user"}, args...), "--state", e.state(), "--config", e.config)...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &errOut
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// login tries to come in with mosquitto_pub; what is published is of no importance.
func login(port int, more ...string) (exit int) {
	cmd := exec.Command("mosquitto_pub", append([]string{"-h", "127.0.0.1", "-p", fmt.Sprint(port), "-t", "t", "-m", "x", "-q", "1"}, more...)...)
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return -1
	}
	return cmd.ProcessState.ExitCode()
}

func TestUsersComeInAndGoWhileTheGatewayRuns(t *testing.T) {
	t.Parallel()
	e := gateway{}.start(t)
	anna, bert := []string{"-u", "anna", "-P", "one two", "-i", "anna"}, []string{"-u", "bert", "-P", "x", "-i", "bert-7"}
	if exit := login(e.port, "-i", "guest"); exit != 0 {
		t.Fatalf("before there are users: exit %d", exit)
	}
	if _, talk, exit := e.user(t, "one two\n", "add", "anna", "--publish", "t", "--subscribe", "t/#"); exit != 0 || !strings.Contains(talk, "in force: broker") {
		t.Fatalf("user add: exit %d, %s", exit, talk)
	}
	if exit := login(e.port, "-i", "guest"); exit == 0 {
		t.Error("a client without a name is let in beside users")
	}
	if exit := login(e.port, anna...); exit != 0 {
		t.Errorf("anna's login: exit %d", exit)
	}
	if exit := login(e.port, "-u", "anna", "-P", "wrong", "-i", "anna"); exit == 0 {
		t.Error("a wrong password is let in")
	}
	if exit := login(e.port, "-u", "anna", "-P", "one two", "-i", "bert"); exit == 0 {
		t.Error("anna may use a ClientId that is not hers")
	}

	// A live client is dropped when its password changes, and when its user goes.
	sub := exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-u", "anna", "-P", "one two", "-i", "anna-1", "-t", "t", "-F", "%p")
	live := start(t, sub)
	eventually(t, 10*time.Second, "anna is subscribed", func() bool { return login(e.port, anna...) == 0 && live.out.String() != "" })
	out, _, exit := e.user(t, "", "passwd", "anna", "--generate")
	if exit != 0 || len(out) < 27 {
		t.Fatalf("user passwd: exit %d, %q", exit, out)
	}
	if exit := login(e.port, anna...); exit == 0 {
		t.Error("the old password is let in")
	}
	anna[3] = strings.TrimSpace(out)
	if exit := login(e.port, anna...); exit != 0 {
		t.Errorf("the new password: exit %d", exit)
	}

	// The same by hand: the file is edited, and SIGHUP puts it into force.
	if _, talk, exit := e.user(t, "x\n", "add", "bert", "--publish", "t", "--subscribe", "t"); exit != 0 {
		t.Fatalf("user add: exit %d, %s", exit, talk)
	}
	bertSub := start(t, exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "-u", "bert", "-P", "x", "-i", "bert-1", "-t", "t", "-F", "%p"))
	eventually(t, 10*time.Second, "bert is subscribed", func() bool { return login(e.port, bert...) == 0 && bertSub.out.String() != "" })
	if text, _, exit := e.user(t, "", "list"); exit != 0 || !strings.Contains(text, "anna") || !strings.Contains(text, "bert-*") {
		t.Errorf("user list: exit %d\n%s", exit, text)
	}
	b, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.config, bytes.Replace(b, []byte("[broker.user.bert]"), []byte("[broker.user.carl]"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	e.signal(syscall.SIGHUP)
	e.ready(t)
	eventually(t, 10*time.Second, "bert is not let in any more, but carl", func() bool {
		return login(e.port, bert...) != 0 && login(e.port, "-u", "carl", "-P", "x", "-i", "carl") == 0
	})
	if _, talk, exit := e.user(t, "", "rm", "anna"); exit != 0 || !strings.Contains(talk, "in force: broker") {
		t.Fatalf("user rm: exit %d, %s", exit, talk)
	}
	if exit := login(e.port, anna...); exit == 0 {
		t.Error("a user who is gone is let in")
	}
	received := bertSub.out.String()
	if exit := login(e.port, "-u", "carl", "-P", "x", "-i", "carl"); exit != 0 {
		t.Errorf("carl: exit %d", exit)
	}
	if bertSub.out.String() != received {
		t.Error("a client whose user is gone still gets messages")
	}
}

func TestUserPasswordStaysSecret(t *testing.T) {
	t.Parallel()
	e := gateway{}.start(t)
	const password = "s3cr3t-geheim"
	_, talk, exit := e.user(t, password+"\n", "add", "anna", "--publish", "t")
	login(e.port, "-u", "anna", "-P", password, "-i", "anna")
	login(e.port, "-u", "anna", "-P", password+"x", "-i", "anna")
	text, err := os.ReadFile(e.config)
	if err != nil || exit != 0 {
		t.Fatalf("exit %d, %v, %s", exit, err, talk)
	}
	kept, err := os.ReadFile(filepath.Join(e.state(), "good-config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for where, s := range map[string]string{"the configuration": string(text), "the talk": talk, "the log": e.err.String(), "the state": string(kept)} {
		if strings.Contains(s, password) {
			t.Errorf("the password is in %s:\n%s", where, s)
		}
	}
}
